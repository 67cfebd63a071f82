"""What the shadow of a rebuild must do: one suite on the one in memory and on the real engine."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sinks.clickhouse import ClickHouseAccess
from sinks.memory import MemorySink
from sinks.memory_shadow import MemoryShadow
from sinks.shadow import ClickHouseShadow
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.catalog.qr import SPEC as QR
from streams.core.late import LateEvent
from streams.core.parts import LEAST, MOST
from streams.core.rebuild import Correction, Span, Stored
from streams.core.rows import Row
from streams.core.values import Progress, version_of
from streams.registry import load_streams
from streams.shadow import Comparison, Difference, Shadow
from streams.sink import Sink
from streams.spec import StreamSpec
from tests.support.clickhouse import T0_S, HasClickHouse, ask, camera_row, changes, late, new_database, qr_row

T0_MS = T0_S * 1000
MINUTE_MS = 60_000
HOUR = Span(T0_MS, T0_MS + 60 * MINUTE_MS)
# the dimensions of `camera_row`
CAM_1 = ("cam-1", "02200", "vehicle", "car", "", "N")
END = 100
# the minutes of a window's place in the tests below
AT_1, AT_2 = T0_MS + MINUTE_MS, T0_MS + 2 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Store:
    """A sink with a way to rebuild it, and what a reader of the camera table sees."""

    sink: Sink
    server: ClickHouseAccess | None = None

    def shadow(self, span: Span = HOUR, spec: StreamSpec = CAMERA) -> Shadow:
        if self.server:
            return ClickHouseShadow(self.server, spec, MINUTE_MS, span)
        assert isinstance(self.sink, MemorySink)
        return MemoryShadow(self.sink, spec, MINUTE_MS, span)

    def write(
        self,
        rows: Sequence[Row] = (),
        late_events: Sequence[LateEvent] = (),
        partition: int = 0,
        spec: StreamSpec = CAMERA,
    ) -> None:
        flush = changes(spec, partition, rows=list(rows), late=list(late_events))
        self.sink.put_rows(spec, [flush])

    def rows(self) -> list[tuple[Any, ...]]:
        """(minutes after T0, camera, partition, late_id, version, events) of rows that hold events."""
        if self.server:
            names = "toUnixTimestamp(window_start), camera_id, partition, late_id, version, events"
            found = ask(self.server, f"SELECT {names} FROM camera_windows FINAL")
        else:
            assert isinstance(self.sink, MemorySink)
            found = [(r[0], r[1], k[-2], r[7], r[8], r[9]) for k, r in self.sink.rows(CAMERA).items()]
        return sorted(((row[0] - T0_S) // 60, *row[1:]) for row in found if row[-1])


@pytest.fixture(params=["memory", "clickhouse"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield Store(MemorySink())
        return
    stack: HasClickHouse = request.getfixturevalue("stack")
    server = new_database(stack)
    with closing(ClickHouseSink(server)) as sink:
        yield Store(sink, server)


def progress(partition: int = 0, end: int = END) -> Progress:
    """Where the rebuilds of these tests end."""
    closed_ms = HOUR.end_ms + 40 * 86_400_000
    return Progress(CAMERA.name, CAMERA.topic, partition, next_offset=end, watermark_ms=closed_ms)


def rebuilt(at_s: int, **more: Any) -> Row:
    """A row of the rebuild."""
    return camera_row(at_s, offset=END, **more)


def nothing(row: Row) -> Row:
    """The row that stands over another one."""
    return (*row[:8], END, 0, 0, 0, 0, 0, [], [])


def redo(
    store: Store, rows: Sequence[Row], corrections: Sequence[Correction] = (), span: Span = HOUR
) -> Comparison:
    """A whole rebuild of partition 0 with these rows; how they compared before."""
    with closing(store.shadow(span)) as shadow:
        shadow.put(progress(), rows, corrections)
        compared = shadow.compare(10)
        shadow.correct()
        shadow.swap_in()
    return compared


def test_the_rows_of_a_span_are_told_without_their_measures(store: Store) -> None:
    """Of one partition, from the first window to before the last, with late rows."""
    rows = [camera_row(at_s, offset=abs(at_s) // 60, events=2) for at_s in (-60, 0, 60, 3540, 3600)]
    store.write(rows, [late(7, offset=9)])
    store.write([camera_row()], partition=1)
    with closing(store.shadow()) as shadow:
        assert sorted(shadow.stored(0)) == [
            Stored((T0_S, *CAM_1, 0), 0, 2),
            Stored((T0_S, *CAM_1, 7), 9, 1),
            Stored((T0_S + 60, *CAM_1, 0), 1, 2),
            Stored((T0_S + 3540, *CAM_1, 0), 59, 2),
        ]


def test_equal_windows_are_equal(store: Store) -> None:
    """Sums, maxima and histograms over late rows and over partitions, whatever the versions."""
    parts = [camera_row(offset=5, speeds={100: 2, 300: 1}, events=3), camera_row(offset=6, speeds={100: 1})]
    store.write([parts[0]], [late(7, 60, offset=8)])
    store.write([parts[1]], partition=1)
    with closing(store.shadow()) as shadow:
        shadow.put(progress(0), [rebuilt(0, speeds={100: 2, 300: 1}, events=3), rebuilt(60)], [])
        shadow.put(progress(1), [rebuilt(0, speeds={100: 1})], [])
        assert shadow.compare(10) == Comparison(windows=2, rows=2, events=5, late=1)


@pytest.mark.parametrize(
    ("most", "least", "wrong"),
    [
        (40, 7, ()),
        (41, 7, ("amount_max_vnd",)),
        (40, 8, ("amount_min_vnd",)),
        (LEAST, MOST, ("amount_max_vnd", "amount_min_vnd")),
    ],
)
def test_extremes_are_compared_over_all_rows(
    store: Store, most: int, least: int, wrong: tuple[str, ...]
) -> None:
    """Of two late rows and a partition that has none, against one row; another extreme is a difference.

    now   40   7 (late)   none      log   40 at most, 7 at least
    """
    own, single, none = (qr_row(0, offset=5, amount_vnd=amount) for amount in (40, 7, 0))
    store.write([own, (*single[:5], 9, *single[6:])], spec=QR)
    store.write([(*none[:-2], LEAST, MOST)], partition=1, spec=QR)
    one = qr_row(0, offset=END, amount_vnd=47, succeeded=2)
    folded = (*one[:7], 2, *one[8:-2], most, least)
    with closing(store.shadow(spec=QR)) as shadow:
        shadow.put(replace(progress(), topic=QR.topic), [folded], [])
        shadow.put(replace(progress(1), topic=QR.topic), [(*none[:6], END, *none[7:-2], LEAST, MOST)], [])
        found = shadow.compare(10)
    assert [d.columns for d in found.shown] == ([wrong] if wrong else [])
    assert found.equal is not bool(wrong)


def test_each_difference_has_its_kind(store: Store) -> None:
    """Missing from the view, surplus in it, other events, another value alone; in order of windows.

    minute   0            1               2          3
    now      2 events     1, speed 100    3 events   -
    log      2 events     1, speed 200    -          4 events
    """
    now = [camera_row(events=2), camera_row(60, speeds={100: 1}), camera_row(120, events=3)]
    store.write(now)
    compared = redo(store, [rebuilt(0, events=2), rebuilt(60, speeds={200: 1}), rebuilt(180, events=4)])
    assert compared == Comparison(
        windows=4, rows=4, events=6, wrong_windows=3, missing=1, surplus=1, different=1,
        shown=(
            Difference("different", AT_1, CAM_1, 1, 1, ("speed",)),
            Difference("surplus", AT_2, CAM_1, 3, 0, ("objects",)),
            Difference("missing", T0_MS + 3 * MINUTE_MS, CAM_1, 0, 4, ("objects",)),
        ),
    )  # fmt: skip
    assert not compared.equal


def test_windows_that_were_not_closed_are_not_compared(store: Store) -> None:
    """What has come to a quiet partition since the rebuild began is none of its business."""
    store.write([camera_row(offset=END - 1), camera_row(60, offset=END)])
    store.write([camera_row(60, offset=7)], partition=1)
    with closing(store.shadow()) as shadow:
        shadow.put(replace(progress(), watermark_ms=AT_1), [rebuilt(0)], [])
        shadow.put(replace(progress(1), watermark_ms=AT_2), [rebuilt(60)], [])
        assert shadow.compare(10) == Comparison(windows=2, rows=2, events=2)


def test_only_so_many_differences_are_shown(store: Store) -> None:
    """All are counted."""
    store.write([camera_row(60 * n) for n in range(20)])
    with closing(store.shadow()) as shadow:
        shadow.put(progress(), [], [])
        compared = shadow.compare(3)
    assert (compared.surplus, len(compared.shown)) == (20, 3)


def test_a_swap_replaces_the_rows_of_before_and_keeps_those_of_after(store: Store) -> None:
    """A pane's own row and a late one of before become one; a late event of offset 100 or more stays.

    offset   7            50              100 = E       120
             own row      late, id 7                    late, id 8
    """
    store.write([camera_row(offset=7, events=4)], [late(7, offset=50), late(8, offset=120)])
    redo(store, [rebuilt(0, events=5), nothing(camera_row(late_id=7))])
    assert store.rows() == [(0, "cam-1", 0, 0, END, 5), (0, "cam-1", 0, 8, 120, 1)]


def test_what_is_written_again_after_a_swap_changes_nothing(store: Store) -> None:
    """A replay writes the pane's own row and the late one again, with the versions that they had."""
    own, single = camera_row(offset=END - 1, events=4), late(7, offset=END - 1)
    store.write([own], [single])
    redo(store, [rebuilt(0, events=5), nothing(single.row)])
    store.write([own], [single])
    assert store.rows() == [(0, "cam-1", 0, 0, END, 5)]


def test_the_same_rebuild_again_changes_nothing(store: Store) -> None:
    """Also with another definition up to the same offset: what was written last counts."""
    store.write([camera_row(offset=7)])
    for events in (2, 2, 3):
        redo(store, [rebuilt(0, events=events)])
        assert store.rows() == [(0, "cam-1", 0, 0, END, events)]


def test_windows_that_are_right_are_not_written(store: Store) -> None:
    """Of an hour in which one window is wrong, one window is swapped."""
    store.write([camera_row(60 * n, offset=n) for n in range(3)])
    redo(store, [rebuilt(0), rebuilt(60, events=9), rebuilt(120)])
    if store.server:
        assert [row[-2:] for row in store.rows()] == [(0, 1), (END, 9), (2, 1)]


def test_windows_of_other_spans_and_partitions_stay(store: Store) -> None:
    """A swap touches nothing beyond what was put."""
    store.write([camera_row(60 * n, offset=n) for n in range(4)])
    store.write([camera_row(60, offset=5)], partition=1)
    redo(store, [rebuilt(60, events=2), nothing(camera_row(120))], span=Span(AT_1, AT_2 + MINUTE_MS))
    assert store.rows() == [
        (0, "cam-1", 0, 0, 0, 1),
        (1, "cam-1", 0, 0, END, 2),
        (1, "cam-1", 1, 0, 5, 1),
        (3, "cam-1", 0, 0, 3, 1),
    ]


def test_corrections_come_back(store: Store) -> None:
    """By window, of one partition and span; the later rebuild's wins."""
    redo(store, [], [Correction(T0_MS, 4), Correction(AT_1, -2)])
    redo(store, [], [Correction(AT_1, 0)])
    with closing(store.shadow()) as shadow:
        assert shadow.corrections(0) == {T0_MS: 4, AT_1: 0}
        assert shadow.corrections(1) == {}
    with closing(store.shadow(Span(AT_2, AT_2 + MINUTE_MS))) as shadow:
        assert shadow.corrections(0) == {}


def test_a_shadow_that_is_closed_leaves_nothing_behind(stack: HasClickHouse) -> None:
    """Its tables are gone."""
    server = new_database(stack)
    store = Store(ClickHouseSink(server), server)
    with closing(store.sink):
        redo(store, [rebuilt(0)])
    names = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '%shadow%'"
    assert ask(server, names) == [(0,)]


def test_a_month_is_swapped_in_as_one_part(stack: HasClickHouse) -> None:
    """All of a rebuild's rows of a month appear at once, however many inserts they came by."""
    server = new_database(stack)
    store = Store(ClickHouseSink(server), server)
    days = Span(T0_MS, T0_MS + 40 * 86_400_000)
    with closing(store.sink), closing(store.shadow(days)) as shadow:
        for partition in range(3):
            rows = [camera_row(day * 86_400, offset=END, events=2) for day in range(40)]
            shadow.put(progress(partition), rows, [])
        shadow.swap_in()
        parts = (
            "SELECT partition_id, count(), sum(rows) FROM system.parts WHERE active"
            " AND database = currentDatabase() AND table = 'camera_windows' GROUP BY 1 ORDER BY 1"
        )
        assert ask(server, parts) == [("202405", 1, 57), ("202406", 1, 63)]
    assert len(store.rows()) == 120


def test_the_views_hide_rows_of_nothing(stack: HasClickHouse) -> None:
    """Every view that shows windows, and the count of late events; conservation counts what is left."""
    server = new_database(stack)
    strange = list(camera_row(60))
    strange[2] = "99999"
    store = Store(ClickHouseSink(server), server)
    flush = changes(
        CAMERA,
        rows=[camera_row(events=4), tuple(strange)],
        late=[late(7, offset=50)],
        folded=5,
        next_offset=END,
        homes=1,
    )
    with closing(store.sink) as sink:
        sink.put_rows(CAMERA, [flush])
        sink.put_progress(CAMERA, [flush])
        (late_row,) = flush.late.rows
        redo(store, [rebuilt(0, events=6), nothing(late_row), nothing(tuple(strange))])
    shown = "SELECT toUnixTimestamp(window_start), events, late_events FROM camera_minute"
    assert ask(server, shown) == [(T0_S, 6, 0)]
    assert ask(server, "SELECT count() FROM unknown_wards") == [(0,)]
    assert ask(server, "SELECT folded_stored, late_stored, excess, verdict FROM conservation") == [
        (6, 0, 0, "exact")
    ]


def test_every_stream_has_a_view_that_hides_rows_of_nothing(stack: HasClickHouse) -> None:
    """Also a stream that is added later: its view needs the same condition."""
    server = new_database(stack)
    for spec in load_streams().values():
        for events in (0, 1):
            ask(
                server,
                f"INSERT INTO {spec.table} (window_start, window_seconds, events, late_id)"
                f" SELECT {T0_S}, 60, {events}, number FROM numbers(2) WHERE {events} = 0 OR number = 0",
            )
            assert ask(server, f"SELECT sum(late_events) FROM {spec.view} HAVING count()") == [(0,)] * events


@pytest.mark.parametrize(("corrected", "verdict"), [(0, "ahead"), (3, "exact"), (5, "missing")])
def test_conservation_takes_corrections_into_account(
    stack: HasClickHouse, corrected: int, verdict: str
) -> None:
    """A changed definition takes three events more than the counters have counted."""
    server = new_database(stack)
    store = Store(ClickHouseSink(server), server)
    flush = changes(CAMERA, rows=[camera_row(events=4)], folded=4, next_offset=END, homes=1)
    with closing(store.sink) as sink:
        sink.put_rows(CAMERA, [flush])
        sink.put_progress(CAMERA, [flush])
        redo(store, [rebuilt(0, events=7)], [Correction(T0_MS, corrected)] if corrected else [])
    assert ask(server, "SELECT verdict FROM conservation") == [(verdict,)]


def test_versions_of_a_higher_epoch_are_compared_too(store: Store) -> None:
    """The versions of each partition bound what is compared in it."""
    high = version_of(1, 5)
    store.write([camera_row(offset=3, epoch=1)], [late(7, offset=4)])
    at = replace(progress(), epoch=1, next_offset=5)
    with closing(store.shadow()) as shadow:
        row = (*camera_row(events=2)[:8], high, *camera_row(events=2)[9:])
        shadow.put(at, [row], [])
        assert shadow.compare(10) == Comparison(windows=1, rows=1, events=2, late=1)
