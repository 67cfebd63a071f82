"""What every fence must do: one suite on the one in memory and on constraints of the real engine."""

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

import pytest

from sinks.clickhouse import ClickHouseAccess
from sinks.fence import ClickHouseFence
from sinks.memory import MemorySink
from sinks.memory_fence import MemoryFence
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.catalog.qr import SPEC as QR
from streams.core.late import LateEvents
from streams.core.rebuild import Span
from streams.core.rehoming import LAST_EPOCH, CannotRehome, Edge
from streams.core.rows import Rows
from streams.core.values import Changes, ClosedPane, DeadLetter, Noted, Progress, StrayMessage
from streams.rehome import Fence
from streams.sink import Sink, SinkFenced
from streams.spec import StreamSpec
from tests.support.clickhouse import T0_S, HasClickHouse, ask, camera_row, changes, late, new_database, qr_row
from tests.support.waiting import eventually

MINUTE_MS, T0_MS = 60_000, T0_S * 1000


@dataclass(frozen=True, slots=True)
class Store:
    """A sink with its fences."""

    sink: Sink
    server: ClickHouseAccess | None = None
    opened: ExitStack = field(default_factory=ExitStack)

    def fence(self, spec: StreamSpec = CAMERA) -> Fence:
        """That of a stream."""
        if isinstance(self.sink, MemorySink):
            return MemoryFence(self.sink, spec)
        assert self.server
        return self.opened.enter_context(closing(ClickHouseFence(self.server, spec)))


@pytest.fixture(params=["memory", "clickhouse"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield Store(MemorySink())
        return
    stack: HasClickHouse = request.getfixturevalue("stack")
    server = new_database(stack)
    sink = ClickHouseSink(server)
    with ExitStack() as opened:
        yield Store(sink, server, opened)
    sink.close()


def at(epoch: int, partition: int = 0, **parts: object) -> Changes:
    """A flush of these parts; its late rows are of its epoch."""
    flush = changes(CAMERA, partition, epoch=epoch, **parts)  # type: ignore[arg-type]  # as named
    rows = [
        camera_row(e.window_start_ms // 1000 - T0_S, offset=e.position[0], epoch=epoch, late_id=e.id)
        for e in flush.late
    ]
    events = (replace(e, row=row) for e, row in zip(flush.late, rows, strict=True))
    return replace(flush, late=LateEvents.of(events))


def written(epoch: int, offset: int, partition: int = 0) -> Changes:
    """What a flush of one partition may write, its last event at this offset."""
    flush = at(
        epoch,
        partition,
        rows=[camera_row(offset=offset, epoch=epoch)],
        closed=[ClosedPane(T0_MS, array("Q", [1]))],
        late=[late(7, offset=offset)],
        dead=[DeadLetter(offset, 0, T0_MS, "", "broken", b"{")],
        noted=[Noted(offset, T0_MS, "gw", array("I", [0]))],
    )
    return replace(flush, progress=replace(flush.progress, next_offset=offset + 1))


def puts(sink: Sink) -> list[Callable[[StreamSpec, Sequence[Changes]], None]]:
    """Every way to write."""
    rows, rest = (sink.put_rows, sink.put_ids, sink.put_late), (sink.put_dead, sink.put_noted)
    return [*rows, *rest, sink.put_sending, sink.put_progress]


def test_what_is_older_than_the_fence_is_refused(store: Store) -> None:
    """By every table, whatever else of the flush is new; what is as new as the fence passes."""
    fence = store.fence()
    assert fence.height() == 0
    fence.refuse_below(2)
    assert fence.height() == 2
    old = written(1, 5)
    for put in puts(store.sink):
        with pytest.raises(SinkFenced, match="rows from before a rehoming are refused"):
            put(CAMERA, [written(2, 6, partition=1), old])
    assert store.sink.progress(CAMERA.topic, range(3)) == {}
    for epoch in (2, 3, LAST_EPOCH):
        for put in puts(store.sink):
            put(CAMERA, [written(epoch, 5)])
    assert store.sink.progress(CAMERA.topic, [0])[0].epoch == LAST_EPOCH


def test_a_fence_moves_up_and_down_and_is_there_once(store: Store) -> None:
    """Raised again and again, also by another, and lowered where a rehoming gives up."""
    for epoch in (1, 5, LAST_EPOCH, 3):
        store.fence().refuse_below(epoch)
        assert store.fence().height() == epoch
    store.sink.put_rows(CAMERA, [written(3, 5)])
    with pytest.raises(SinkFenced):
        store.sink.put_rows(CAMERA, [written(2, 5)])
    store.fence().refuse_below(0)
    store.sink.put_rows(CAMERA, [written(0, 5)])


def test_other_streams_are_not_held(store: Store) -> None:
    """A fence is around one topic; another of the same store has its own."""
    store.fence().refuse_below(2)
    flush = replace(changes(QR, rows=[qr_row(0, offset=1, amount_vnd=1)]), closed=written(0, 1).closed)
    for put in puts(store.sink):
        put(QR, [flush])
    assert store.fence(QR).height() == 0
    store.fence(QR).refuse_below(1)
    assert (store.fence().height(), store.fence(QR).height()) == (2, 1)
    with pytest.raises(SinkFenced):
        store.sink.put_progress(QR, [flush])
    store.sink.put_progress(CAMERA, [written(2, 1)])


ROW = camera_row(60, offset=9, epoch=3)
EDGE = Edge(0, (3, 3), 9, MINUTE_MS, T0_MS + MINUTE_MS)
BEHIND: dict[str, dict[str, object]] = {
    "a row of an open window": {"rows": [ROW]},
    "an old late event": {"late": [late(7, -600, offset=9)]},
    "ids of a window that was open": {"closed": [ClosedPane(T0_MS + MINUTE_MS, array("Q", [1]))]},
    "a letter": {"dead": [DeadLetter(9, 1, T0_MS, "", "broken", b"{")]},
    "a note": {"noted": [Noted(12, T0_MS, "gw", array("I", [0]))]},
    "strays": {"sent": [StrayMessage(1, b"[]", 1)], "next_offset": 10},
}
BEFORE: dict[str, dict[str, object]] = {
    "a row of an open window": {"rows": [camera_row(60, offset=8, epoch=3)]},
    # of a rebuild up to the edge
    "a row of a closed window": {"rows": [camera_row(0, offset=9, epoch=3)]},
    "ids of a closed window": {"closed": [ClosedPane(T0_MS, array("Q", [1]))]},
    "a letter": {"dead": [DeadLetter(8, 1, T0_MS, "", "broken", b"{")]},
    "a note": {"noted": [Noted(8, T0_MS, "gw", array("I", [0]))]},
    "strays": {"sent": [StrayMessage(1, b"[]", 1)], "next_offset": 9},
    "a row of an earlier epoch": {"rows": [camera_row(60, offset=20, epoch=2)]},
    "a row of a rehoming that was interrupted": {"rows": [camera_row(60, offset=20, epoch=4)]},
}


def put_all(store: Store, flush: Changes) -> None:
    """All that there is of it, but progress."""
    for put in puts(store.sink)[:-2]:
        put(CAMERA, [flush])
    if flush.strays:
        store.sink.put_sending(CAMERA, [flush])


@pytest.mark.parametrize("what", BEHIND)
def test_what_lies_behind_an_edge_is_found_and_forgotten(store: Store, what: str) -> None:
    """Of that partition alone; what is before it stays, and what is forgotten may be written again."""
    fence = store.fence()
    for parts in BEFORE.values():
        put_all(store, at(3, **parts))
    put_all(store, at(3, 1, **BEHIND[what]))
    edges = [EDGE, replace(EDGE, partition=1), replace(EDGE, partition=2)]
    assert fence.behind(edges[:1]) == set()
    assert fence.behind([*edges[:1], *edges[2:]]) == set()
    assert fence.behind(edges) == {1}
    fence.forget(edges[1])
    assert fence.behind(edges) == set()
    put_all(store, at(3, 1, **BEHIND[what]))
    assert fence.behind(edges) == {1}
    fence.forget(edges[0])
    assert fence.behind(edges) == {1}


@pytest.mark.parametrize("what", BEFORE)
def test_what_is_accounted_for_is_not_behind(store: Store, what: str) -> None:
    """Nor is what other epochs have written, unless the edge is of all of them."""
    epoch = {"a row of an earlier epoch": 2, "a row of a rehoming that was interrupted": 4}.get(what, 3)
    put_all(store, at(epoch, **BEFORE[what]))
    assert store.fence().behind([EDGE]) == set()
    assert store.fence().behind([Edge(0, (0, LAST_EPOCH), 0)]) == {0}


def test_a_rebuild_up_to_the_edge_is_not_behind_it(store: Store) -> None:
    """It writes rows of nothing over late events, with the version of the progress that it began from."""
    flush = at(3, late=[late(7, -600, offset=2)])
    put_all(store, flush)
    nothing = camera_row(-600, offset=9, epoch=3, events=0, late_id=7)
    store.sink.put_rows(CAMERA, [changes(CAMERA, rows=[nothing], epoch=3)])
    assert store.fence().behind([EDGE]) == set()


def test_the_windows_that_hold_anything(store: Store) -> None:
    """The first and the last of them; rows of nothing do not count."""
    assert store.fence().windows() is None
    rows = [camera_row(at_s, offset=1) for at_s in (120, 86_400 * 40, -60)]
    store.sink.put_rows(CAMERA, [changes(CAMERA, rows=[*rows, camera_row(-6000, offset=1, events=0)])])
    assert store.fence().windows() == (T0_MS - MINUTE_MS, T0_MS + 40 * 86_400_000)


def test_as_many_partitions_as_there_may_be(store: Store) -> None:
    """65,536 edges are one question for each table."""
    put_all(store, at(0, 65_535, rows=[ROW]))
    edges = [Edge(p, (0, LAST_EPOCH), 0) for p in range(1 << 16)]
    assert store.fence().behind(edges) == {65_535}


@pytest.fixture
def server(stack: HasClickHouse) -> ClickHouseAccess:
    """A database of its own."""
    return new_database(stack)


SLOW = (
    "INSERT INTO camera_windows (window_start, version, events) SELECT toDateTime(0), sleepEachRow(0.5), 1"
    " FROM numbers({}) SETTINGS max_block_size = 1, min_insert_block_size_rows = 1"
)


def test_inserts_from_before_are_waited_for(server: ClickHouseAccess) -> None:
    """They were let through, so what they write has to be there before anybody looks."""
    slow = threading.Thread(target=ask, args=(server, SLOW.format(4)))
    slow.start()
    eventually(
        lambda: ask(server, "SELECT count() FROM system.processes WHERE query_kind = 'Insert'") == [(1,)]
    )
    with closing(ClickHouseFence(server, CAMERA)) as fence:
        fence.refuse_below(1)
        assert ask(server, "SELECT sum(events) FROM camera_windows") == [(4,)]
        assert fence.behind([Edge(0, (0, 0), 0, 1, -1)]) == {0}
    slow.join()


def test_an_insert_that_does_not_end_is_told(server: ClickHouseAccess) -> None:
    """A frozen worker may hold it open; nothing has changed for others then but the fence."""
    slow = threading.Thread(target=ask, args=(server, SLOW.format(8)))
    slow.start()
    eventually(
        lambda: ask(server, "SELECT count() FROM system.processes WHERE query_kind = 'Insert'") == [(1,)]
    )
    with (
        closing(ClickHouseFence(server, CAMERA, patience_s=0.5)) as fence,
        pytest.raises(CannotRehome, match=r"camera.events: an insert from before does not end.*INSERT INTO"),
    ):
        fence.refuse_below(1)
    slow.join()


def test_a_rebuild_works_within_a_fence(server: ClickHouseAccess) -> None:
    """Its shadow is a table like the fenced one, and what it attaches may be older than the fence."""
    from sinks.shadow import ClickHouseShadow  # noqa: PLC0415  # of this test alone

    with closing(ClickHouseSink(server)) as sink, closing(ClickHouseFence(server, CAMERA)) as fence:
        sink.put_rows(CAMERA, [changes(CAMERA, rows=[camera_row(offset=3, events=2)])])
        fence.refuse_below(1)
        progress = Progress(CAMERA.name, CAMERA.topic, 0, 1, 9, 9, watermark_ms=T0_MS + 10 * MINUTE_MS)
        with closing(ClickHouseShadow(server, CAMERA, MINUTE_MS, Span(T0_MS, T0_MS + MINUTE_MS))) as shadow:
            shadow.put(progress, Rows.of([camera_row(offset=9, epoch=1, events=3)]), [])
            shadow.swap_in()
        assert ask(server, "SELECT sum(events) FROM camera_minute") == [(3,)]
