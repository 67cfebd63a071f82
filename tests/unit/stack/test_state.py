"""The state file is believed as far as its processes live."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli.status import lines, living
from infra.stack.process import state as state_module
from infra.stack.process.state import (
    STATE,
    end,
    gone,
    identified,
    lives,
    processes,
    read_state,
    remove_state,
    write_state,
)
from infra.stack.supervisor import paused_streams, worker_state
from tests.support.waiting import eventually


def test_a_state_is_read_as_written_and_gone_when_removed(tmp_path: Path) -> None:
    """Removing it twice is no error."""
    write_state(tmp_path, {"state": "running"})
    assert read_state(tmp_path) == {"state": "running"}
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["stack.json"]
    remove_state(tmp_path)
    remove_state(tmp_path)
    assert read_state(tmp_path) == {}


def test_a_broken_state_file_is_no_state(tmp_path: Path) -> None:
    """`down` and `status` must work all the same."""
    (tmp_path / STATE).parent.mkdir()
    for broken in ("", "[]", "{", "null"):
        (tmp_path / STATE).write_text(broken, encoding="utf-8")
        assert read_state(tmp_path) == {}


def test_a_process_is_named_by_pid_and_start() -> None:
    """Another process with the same number is another process; the dead, even if not yet buried, are dead."""
    me = identified(os.getpid())
    assert lives(me)
    assert not lives({**me, "started": me["started"] - 1})
    assert not lives({"pid": None})
    assert not lives(None)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = identified(child.pid)
    assert lives(known)
    child.kill()
    eventually(lambda: not lives(known))  # a zombie as long as nobody waits for it
    child.communicate()


def test_what_does_not_go_by_itself_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody else is: the number alone is no name."""
    monkeypatch.setattr(state_module, "GONE_SECONDS", 0.2)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = identified(child.pid)
    assert end([{**known, "started": known["started"] - 1}])
    assert not gone([known], 0.1)
    monkeypatch.setattr(state_module, "GONE_SECONDS", 5.0)
    assert end([known])
    child.communicate()
    assert child.returncode == -9


def test_status_leaves_out_what_has_died() -> None:
    """A worker that died since is not listed, and a broker has no pid; nobody may kill a stranger by them."""
    me, dead = identified(os.getpid()), {"pid": 2**22 + 1, "started": 1}
    state = {
        "state": "running",
        "supervisor": me,
        "broker": {**dead, "address": "127.0.0.1:9092", "ready": True},
        "clickhouse": {**me, "native": "127.0.0.1:9000", "http": "127.0.0.1:8123", "ready": True},
        "guard": {**me, "ready": True},
        "workers": [
            {"name": "worker-1", **me, "state": "ready", "restarts": 1, "strays": {"camera": 1234, "qr": 0}},
            {"name": "worker-2", **dead, "state": "ready", "restarts": 0},
        ],
    }
    found = living(state)
    assert found["broker"] == {"address": "127.0.0.1:9092", "pid": None, "started": None, "ready": False}
    assert [w["name"] for w in found["workers"]] == ["worker-1"]
    assert len(processes(state)) == 6
    shown = "\n".join(lines(found))
    assert "127.0.0.1:9092  restarting" in shown
    assert "restarted 1 time" in shown
    assert "strays      1,234 of stream camera, sent to the partitions of their keys" in shown
    assert "stream qr" not in shown


def test_status_without_a_state_has_every_part() -> None:
    """Scripts find the same keys, whether something runs or not."""
    found = living({})
    assert found["state"] == "stopped"
    assert found["broker"] == {"pid": None, "ready": False, "address": None}
    assert found["clickhouse"]["native"] is None
    assert found["workers"] == []
    assert lines(found) == ["nothing is running: start it with `songlo up`"]


def test_a_worker_speaks_for_itself_only(tmp_path: Path) -> None:
    """What the worker before it wrote does not make a new one ready."""
    status = tmp_path / "worker-1.json"
    assert worker_state(status, 7) == "starting"
    status.write_text('{"pid": 7, "state": "ready"}', encoding="utf-8")
    assert worker_state(status, 7) == "ready"
    assert worker_state(status, 8) == "starting"
    for broken in ("", "7", '{"pid": 7}'):
        status.write_text(broken, encoding="utf-8")
        assert worker_state(status, 7) == "starting"
    assert paused_streams(status, 7) == []
    status.write_text('{"pid": 7, "state": "ready", "paused": ["camera"]}', encoding="utf-8")
    assert paused_streams(status, 7) == ["camera"]
    assert paused_streams(status, 8) == []
