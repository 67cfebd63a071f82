"""A store that has lost what it had acknowledged is not written over."""

import pytest

from sinks.memory import MemorySink
from streams.catalog.camera import SPEC
from streams.core.late import LateEvents
from streams.core.rows import Rows
from streams.core.values import Changes, Progress
from streams.sink import SinkSetBack
from streams.worker.failpoints import pass_by
from streams.worker.flush.steps import store


def flushed(next_offset: int) -> list[Changes]:
    """A flush of partition 0 that comes to this offset."""
    return [
        Changes(Progress(SPEC.name, SPEC.topic, 0, next_offset=next_offset), Rows(), [], LateEvents(), [])
    ]


@pytest.mark.parametrize("found", [None, 40], ids=["nothing", "an older copy"])
def test_progress_is_not_written_over_a_gap(found: int | None) -> None:
    """After a restore the store lacks rows of before: progress behind them would hide that for good."""
    sink = MemorySink()
    if found is not None:
        store(sink, SPEC, flushed(found), pass_by)
    before = sink.progress(SPEC.topic, [0])
    with pytest.raises(SinkSetBack, match=r"camera\.events\[0\].*older copy"):
        store(sink, SPEC, flushed(60), pass_by, {0: 50})
    assert sink.progress(SPEC.topic, [0]) == before


def test_progress_of_another_worker_is_no_gap() -> None:
    """A partition that others have carried further is left to them."""
    sink = MemorySink()
    store(sink, SPEC, flushed(90), pass_by)
    store(sink, SPEC, flushed(60), pass_by, {0: 50})
    assert sink.progress(SPEC.topic, [0])[0].next_offset == 90
