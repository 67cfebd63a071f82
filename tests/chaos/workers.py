"""Worker processes to be ill-treated: the real command, killed, stopped, woken and watched."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.stack.process.service import last_lines
from tests.chaos.nursery import Nursery
from tests.chaos.process import rss_mb

READY_S, KILLED_S = 60.0, 30.0


class WorkerGoneError(Exception):
    """A worker ended that should run; the message ends with its log's last lines."""


class Worker:
    """One process at a time, in a directory of its own; `environ` holds its SONGLO_* settings."""

    def __init__(self, nursery: Nursery, name: str, directory: Path, environ: Mapping[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.environ = dict(environ)
        self.log = directory / f"{name}.log"
        self.status_file = directory / f"{name}.json"
        self._nursery = nursery
        self.pid = 0
        self.starts = 0
        self.ready_after_s: float | None = None
        self._started_at = 0.0

    def start(self, options: Sequence[str] = (), **settings: object) -> None:
        """Start it; `settings` are added to its own, by their lower-case names."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith("SONGLO_")}
        more = {f"SONGLO_{name.upper()}": str(value) for name, value in settings.items()}
        self.starts += 1
        self._started_at, self.ready_after_s = time.monotonic(), None
        arguments = ["worker", "--status", str(self.status_file), *options]
        self.pid = self._nursery.bear(arguments, {**ours, **self.environ, **more}, self.log)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._nursery.exit_code(self.pid)

    @property
    def alive(self) -> bool:
        return self.pid != 0 and self.exit_code is None

    @property
    def status(self) -> dict[str, Any]:
        """What this very process has told of itself last."""
        try:
            said = json.loads(self.status_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return said if said.get("pid") == self.pid else {}

    @property
    def ready(self) -> bool:
        return self.alive and self.status.get("state") == "ready"

    def newly_ready(self) -> float | None:
        """The seconds from its start until it was ready, once, when that has just been seen."""
        if self.ready_after_s is not None or not self.ready:
            return None
        self.ready_after_s = round(time.monotonic() - self._started_at, 2)
        return self.ready_after_s

    @property
    def assigned(self) -> list[str]:
        """The partitions that it holds, as topic[number]."""
        return list(self.status.get("assigned", ()))

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait for the first assignment. Raises WorkerGoneError."""
        deadline = time.monotonic() + timeout_s
        while not self.ready:
            if not self.alive or time.monotonic() > deadline:
                raise WorkerGoneError(f"{self.name}: exit code {self.exit_code}{last_lines(self.log)}")
            time.sleep(0.02)

    def wait(self, timeout_s: float) -> int:
        """The exit code, when it has ended. Raises WorkerGoneError when it does not."""
        code = self._nursery.wait(self.pid, timeout_s)
        if code is None:
            raise WorkerGoneError(f"{self.name} has not ended after {timeout_s:g} s{last_lines(self.log)}")
        return code

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        if self.alive:
            self._signal(signal.SIGKILL)
            self.wait(KILLED_S)

    def stop(self) -> None:
        """SIGSTOP: it does nothing, and does not know it."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT, after `stop` or after a failpoint has stopped it."""
        self._signal(signal.SIGCONT)

    @property
    def suspended(self) -> bool:
        """Whether a signal has stopped it."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return stat.rpartition(") ")[2][:1] == "T"

    def terminate(self, timeout_s: float = 30.0) -> tuple[int, float]:
        """SIGTERM; the exit code and how many seconds it took."""
        began = time.monotonic()
        self.ask_to_stop()
        return self.wait(timeout_s), time.monotonic() - began

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def rss_mb(self) -> float:
        """Resident memory in MB, 0 when it does not run."""
        try:
            return rss_mb(self.pid)
        except OSError:
            return 0.0

    def said(self, text: str) -> bool:
        """Whether its log has this text."""
        return self.log.exists() and text.encode() in self.log.read_bytes()
