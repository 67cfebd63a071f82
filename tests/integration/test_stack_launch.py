"""The launcher as a stranger uses it: up, status, a killed worker, down."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.stack.process.service import ROOT
from infra.stack.process.state import started
from tests.support.waiting import eventually

SECONDS = 240


class Launcher:
    """infra/songlo with a home of its own, called from elsewhere."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SONGLO_") or k == "SONGLO_CACHE"}
        return subprocess.run(
            [ROOT / "infra" / "songlo", *args],
            cwd=self.home.parent,
            env={**kept, "SONGLO_HOME": str(self.home), **environ},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """`status --json`."""
        found: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return found

    def only_worker(self) -> dict[str, Any] | None:
        """The worker, None while it has no process."""
        workers = self.status()["workers"]
        return workers[0] if workers else None


@pytest.fixture
def songlo(tmp_path: Path) -> Iterator[Launcher]:
    """A launcher whose home is stopped at the end."""
    launcher = Launcher(tmp_path / "home")
    yield launcher
    launcher("down")


def test_up_status_kill_down(songlo: Launcher) -> None:
    """One life of a home: all parts are named, a killed worker is replaced, nothing is left at the end."""
    assert songlo("status").returncode == 1
    done = songlo("up", "--detach", "--no-demo")
    assert done.returncode == 0, done.stderr
    assert "1 worker ready" in done.stderr

    state = songlo.status()
    pids = [state[part]["pid"] for part in ("supervisor", "broker", "clickhouse", "guard")]
    worker = state["workers"][0]
    assert worker["state"] == "ready"
    assert all(started(pid) for pid in [*pids, worker["pid"]])
    assert set(state["broker"]) >= {"address", "pid"}
    assert set(state["clickhouse"]) >= {"native", "http", "pid"}
    assert songlo("sql", "SELECT count() FROM camera_minute", "--format", "TSV").stdout == "0\n"

    os.kill(worker["pid"], signal.SIGKILL)
    after = eventually(lambda: (w := songlo.only_worker()) and w["pid"] != worker["pid"] and w, 60)
    assert after["restarts"] == 1
    eventually(lambda: (w := songlo.only_worker()) and w["state"] == "ready", 60)

    again = songlo("up", "--detach")
    assert again.returncode == 0
    assert "already" in again.stderr

    pids = [songlo.status()[part]["pid"] for part in ("supervisor", "broker", "clickhouse", "guard")]
    assert songlo("down").returncode == 0
    assert [pid for pid in [*pids, after["pid"]] if started(pid)] == []
    assert songlo.status()["state"] == "stopped"
    idle = songlo("down")
    assert idle.returncode == 0
    assert "nothing was running" in idle.stderr


def test_a_killed_supervisor_leaves_nothing_in_the_way(songlo: Launcher) -> None:
    """kill -9 takes the children with it; the next start has the same addresses."""
    songlo("up", "--detach", "--no-demo")
    before = songlo.status()
    os.kill(before["supervisor"]["pid"], signal.SIGKILL)
    assert songlo("up", "--detach", "--no-demo").returncode == 0
    after = songlo.status()
    assert [before["workers"][0]["pid"]] != [w["pid"] for w in after["workers"]]
    assert started(before["broker"]["pid"]) is None
    assert after["broker"]["address"] == before["broker"]["address"]
    for address in ("native", "http"):
        assert after["clickhouse"][address] == before["clickhouse"][address]


def test_up_that_can_not_start_says_why(songlo: Launcher) -> None:
    """Non-zero, with the worker's own last lines, and nothing left running."""
    done = songlo("up", "--detach", "--no-demo", SONGLO_FAILPOINTS="no-such-point")
    assert done.returncode == 1
    assert "worker-1" in done.stderr
    assert "no-such-point" in done.stderr
    assert songlo.status()["state"] == "stopped"
    assert list((songlo.home / "run").glob("stack.json")) == []


def test_up_refuses_addresses_of_others(songlo: Launcher) -> None:
    """It runs its own Kafka; using another is the worker's command."""
    done = songlo("up", "--detach", SONGLO_BROKERS="127.0.0.1:1")
    assert done.returncode == 1
    assert "SONGLO_BROKERS" in done.stderr
