"""The sink in memory is the engine's twin: after any writes in any order, both tell the same."""

from array import array
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.clickhouse import ClickHouseAccess
from sinks.memory import MemorySink
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.core.late import LateEvents
from streams.core.rows import Rows
from streams.core.values import Changes, ClosedPane
from tests.support.clickhouse import T0_S, HasClickHouse, ask, camera_row, changes, late, new_database

PARTITIONS, PANES = range(3), range(2)


@pytest.fixture(scope="module")
def sink(stack: HasClickHouse) -> Iterator[tuple[ClickHouseAccess, ClickHouseSink]]:
    """One database for all examples: each has a topic and a camera of its own."""
    server = new_database(stack)
    sink = ClickHouseSink(server)
    yield server, sink
    sink.close()


@st.composite
def flushes(draw: st.DrawFn) -> Changes:
    """What a worker, a replay or a zombie may write: a row's total is a function of its version."""
    partition, epoch = draw(st.sampled_from(PARTITIONS)), draw(st.integers(0, 1))
    offsets, panes = st.integers(0, 6), st.sampled_from(PANES)
    rows = [
        camera_row(60 * pane, offset=offset, epoch=epoch, events=1 + offset + 10 * epoch)
        for pane, offset in draw(st.lists(st.tuples(panes, offsets), max_size=3))
    ]
    events = [
        late(event_id, 60 * pane, offset=offset, index=index)
        for pane, event_id, offset, index in draw(
            st.lists(st.tuples(panes, st.integers(1, 3), offsets, offsets), max_size=3)
        )
    ]
    closed = [
        ClosedPane((T0_S + 60 * pane) * 1000, array("Q", [pane, 5 + epoch, 2**64 - 1]))
        for pane in draw(st.lists(panes, unique=True, max_size=2))
    ]
    at = draw(offsets)
    return changes(
        CAMERA,
        partition,
        rows=rows,
        late=events,
        closed=closed,
        epoch=epoch,
        next_offset=at,
        folded=at + epoch,
    )


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(flushes(), min_size=1, max_size=6))
def test_both_sinks_tell_the_same(
    sink: tuple[ClickHouseAccess, ClickHouseSink], written: list[Changes]
) -> None:
    """Progress, ids, late positions and totals of windows."""
    server, engine = sink
    memory, name = MemorySink(), uuid4().hex
    spec = replace(CAMERA, topic=name)
    for flush in (own(flush, name) for flush in written):
        for store in (memory, engine):
            for put in (store.put_rows, store.put_ids, store.put_late, store.put_progress):
                put(spec, [flush])
    wanted = {p: [(T0_S + 60 * pane) * 1000 for pane in PANES] for p in PARTITIONS}
    assert engine.progress(name, PARTITIONS) == memory.progress(name, PARTITIONS)
    assert engine.pane_ids(name, wanted) == memory.pane_ids(name, wanted)
    some = {
        (p, start_ms): [1, 2, 5, 7, 2**64 - 1] for p, starts in wanted.items() for start_ms in starts[::2]
    }
    assert engine.known_ids(name, some) == memory.known_ids(name, some)
    sums = "SELECT toUnixTimestamp(window_start), events, objects, late_events FROM camera_minute"
    assert ask(server, f"{sums} WHERE camera_id = '{name}' ORDER BY window_start") == totals(memory)


def own(flush: Changes, name: str) -> Changes:
    """The same flush for a topic and a camera of this example."""
    rows = Rows.of((row[0], name, *row[2:]) for row in flush.rows)
    events = [replace(e, row=(e.row[0], name, *e.row[2:])) for e in flush.late]
    return replace(flush, progress=replace(flush.progress, topic=name), rows=rows, late=LateEvents.of(events))


def totals(memory: MemorySink) -> list[tuple[int, ...]]:
    """What the view should say: the newest rows of each window added up."""
    found: dict[int, list[int]] = {}
    for row in memory.rows(CAMERA).values():
        start, late_id, events, objects = (int(str(row[i])) for i in (0, 7, 9, 10))
        total = found.setdefault(start, [0, 0, 0])
        for i, value in enumerate((events, objects, int(late_id != 0))):
            total[i] += value
    return [(start, *found[start]) for start in sorted(found)]
