"""What a worker tells its parent and its reader."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from streams.kafka_access import KafkaAccess
from streams.worker.config import WorkerConfig
from streams.worker.process.logs import Repeats
from streams.worker.process.status import write_status


def test_the_status_file_is_replaced_at_once(tmp_path: Path) -> None:
    """Nothing else is left in its folder."""
    path = tmp_path / "worker.json"
    write_status(path, "starting", updated_ms=1)
    write_status(path, "ready", assigned=[("camera.events", 0)], folded=7, strays={"camera": 3}, updated_ms=2)
    assert json.loads(path.read_text()) == {
        "pid": os.getpid(), "state": "ready", "assigned": ["camera.events[0]"], "folded": 7,
        "strays": {"camera": 3}, "paused": [], "message": "", "updated_ms": 2,
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def test_no_path_no_file() -> None:
    """A worker may run without a parent."""
    write_status(None, "ready", updated_ms=1)


def record(name: str, message: str) -> logging.LogRecord:
    """A log record."""
    return logging.LogRecord(name, logging.WARNING, "", 0, message, ("x",), None)


def test_a_library_that_repeats_itself_is_held_back_and_counted() -> None:
    """
    seconds   0     1     2     ...  11
    written   yes   no    no         yes, "and 2 more"
    """
    now = 0.0
    repeats = Repeats(lambda: now)
    written = []
    for now in (0.0, 1.0, 2.0, 11.0):  # noqa: B007 - the clock reads it
        line = record("aiokafka.conn", "can't connect to %s")
        if repeats.filter(line):
            written.append(line.getMessage())
    assert written == ["can't connect to x", "can't connect to x (and 2 more like it)"]


def test_own_lines_are_never_held_back() -> None:
    """Each of them is an event."""
    repeats = Repeats(lambda: 0.0)
    assert all(repeats.filter(record("streams.worker.runtime", "stopping: %s")) for _ in range(3))


@pytest.mark.parametrize("wrong", [{"heartbeat_ms": 9_000}, {"flush_ms": 0}, {"pending_bytes": 0}])
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="must"):
        WorkerConfig(kafka=KafkaAccess.at("b:1"), **wrong)
