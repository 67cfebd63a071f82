"""The command line in this process, on a stack, a database and topics of a test's own."""

from dataclasses import replace
from importlib import import_module

import pytest

from infra.cli import cli
from infra.cli.common import run
from streams.registry import load_streams
from tests.support.workers import River


class Commands:
    """Runs commands, and keeps what the last one wrote; `topics` are the river's own, by stream."""

    def __init__(
        self,
        stream: River,
        http: str,
        topics: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        self.out = self.err = ""
        self._capfd = capfd
        settings = {
            "home": str(stream.folder),
            "brokers": stream.stack.brokers,
            "clickhouse": stream.stack.clickhouse,
            "clickhouse_http": http,
            "clickhouse_database": stream.server.database,
            "group": stream.name,
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"SONGLO_{name.upper()}", value)
        monkeypatch.delenv("SONGLO_TEST_STACK", raising=False)
        specs = {name: replace(load_streams()[name], topic=topic) for name, topic in topics.items()}
        cli_modules = ("lag", "drain", "produce", "dlq.replay", "dlq.fetch", "topics", "migrate")
        for module in (*(f"infra.cli.{name}" for name in cli_modules), "infra.operate.homes.start"):
            monkeypatch.setattr(import_module(module), "load_streams", lambda: specs)

    def __call__(self, *args: str) -> int:
        """The exit status of one command."""
        self._capfd.readouterr()
        status = run(cli, args)
        self.out, self.err = self._capfd.readouterr()
        return status
