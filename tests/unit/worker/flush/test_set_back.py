"""A store that has lost what it had acknowledged is not written over."""

from collections.abc import Mapping

import pytest

from sinks.memory import MemorySink
from streams.catalog.camera import SPEC
from streams.core.late import LateEvents
from streams.core.rows import Rows
from streams.core.values import Changes, Progress
from streams.sink import SinkSetBack
from streams.worker.flush.steps import steps
from tests.support.strays import none_sent


def flushed(next_offset: int) -> list[Changes]:
    """A flush of partition 0 that comes to this offset."""
    return [
        Changes(Progress(SPEC.name, SPEC.topic, 0, next_offset=next_offset), Rows(), [], LateEvents(), [])
    ]


def store(sink: MemorySink, changes: list[Changes], stored: Mapping[int, int]) -> None:
    """A whole flush."""
    for _ in steps(sink, SPEC, changes, none_sent, stored):
        pass


@pytest.mark.parametrize("found", [None, 40], ids=["nothing", "an older copy"])
def test_progress_is_not_written_over_a_gap(found: int | None) -> None:
    """After a restore the store lacks rows of before: progress behind them would hide that for good."""
    sink = MemorySink()
    if found is not None:
        store(sink, flushed(found), {})
    before = sink.progress(SPEC.topic, [0])
    with pytest.raises(SinkSetBack, match=r"camera\.events\[0\].*older copy"):
        store(sink, flushed(60), {0: 50})
    assert sink.progress(SPEC.topic, [0]) == before


def test_progress_of_another_worker_is_no_gap() -> None:
    """A partition that others have carried further is left to them."""
    sink = MemorySink()
    store(sink, flushed(90), {})
    store(sink, flushed(60), {0: 50})
    assert sink.progress(SPEC.topic, [0])[0].next_offset == 90
