"""What the local stack is made of: found on the machine, or fetched."""

import io
import os
from pathlib import Path

import pytest

from infra.setup.progress import SetupError, SetupProgress
from infra.stack.clickhouse import fetch as engine
from infra.stack.kafka.fetch import kafka_version
from tests.support.scripts import script


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("ClickHouse client version 25.8.1.3994 (official build).", True),
        ("ClickHouse local version 26.3.1.1.", True),
        ("ClickHouse client version 24.12.1.1 (official build).", False),
        ("ClickHouse client version 18.16.1.", False),
        ("something else", False),
    ],
)
def test_a_server_of_the_machine_is_taken_when_recent_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, taken: bool
) -> None:
    """Debian's own is years old."""
    path = script(tmp_path / "clickhouse", f"echo '{said}'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert engine.installed_server() == (path if taken else None)


def test_an_engine_for_no_such_machine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no embedded engine for every processor."""
    monkeypatch.setattr(engine, "installed_server", lambda: None)
    monkeypatch.setattr(engine.platform, "machine", lambda: "riscv64")
    with pytest.raises(SetupError, match=r"install ClickHouse 25\.3 or newer"):
        engine.require_engine(Path("/nowhere"), SetupProgress(io.StringIO()))


def test_the_pom_names_a_version() -> None:
    """The cache is keyed by it."""
    assert kafka_version().count(".") == 2
