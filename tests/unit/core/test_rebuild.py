"""Windows folded again: which events count, what stands over what, and with which versions."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sinks.memory import MemorySink
from sinks.memory_shadow import MemoryShadow
from streams.catalog.camera import SPEC
from streams.core.home import Homes, at_offset, first_epoch, partition_of
from streams.core.late_duplicates import LateDeduplicator
from streams.core.pane import id_hash
from streams.core.plain import PlainFold
from streams.core.rebuild import (
    Correction,
    Rebuild,
    Span,
    Stored,
    earlier_logs,
    first_open,
    newest_closed,
)
from streams.core.records import pack
from streams.core.rows import Row
from streams.core.rules import Rules
from streams.core.values import PaneIds, Progress, RecordBatch, StrayMessage, version_of
from streams.measures import Sum
from streams.shadow import CannotRebuild, fill, swap
from streams.spec import StreamSpec
from streams.worker.flush.steps import drop_late_duplicates, steps
from tests.support.events import T0_MS, batch, camera_event, message

MINUTE_MS = 60_000
RULES = Rules(disorder_ms=60_000, skew_ms=30_000)
SPAN = Span(T0_MS, T0_MS + 2 * MINUTE_MS)
END = 50
AT_END = Progress(SPEC.name, SPEC.topic, 0, next_offset=END, watermark_ms=T0_MS + 10 * MINUTE_MS)
LATE_ID = SPEC.columns.index("late_id")


def rebuilt(
    *batches: RecordBatch,
    spec: StreamSpec = SPEC,
    known: dict[int, PaneIds] | None = None,
    stored: Iterable[Stored] = (),
    progress: Progress = AT_END,
    homes: Sequence[Homes] = (),
) -> list[dict[str, Any]]:
    """The rows of a rebuild by column."""
    rebuild = Rebuild(spec, RULES, progress, SPAN, known or {}, homes)
    for b in batches:
        rebuild.fold(b)
    return [dict(zip(spec.columns, row, strict=True)) for row in rebuild.rows(list(stored))]


def counted(rows: list[dict[str, Any]]) -> list[tuple[int, str, int, int]]:
    """Of each row: minutes after T0, camera, late_id, events."""
    return sorted(
        ((r["window_start"] - T0_MS // 1000) // 60, r["camera_id"], r["late_id"], r["events"]) for r in rows
    )


def one(offset: int, event_id: str, at_s: float, append_s: float = 600, **fields: object) -> RecordBatch:
    """A message with one event."""
    return batch(offset, append_s, [message(camera_event(event_id, at_s, **fields))])


def place(late_id: int, camera: str = "cam-1", at_s: int = 0) -> Row:
    """The key of a stored row."""
    return (T0_MS // 1000 + at_s, camera, "02200", "vehicle", "", "", "", late_id)


def test_each_event_of_the_span_counts_once_however_late() -> None:
    """Half open, distinct by id within the window, whatever its append time.

    window     :59 before | 0 .. 59.999 | 60 .. 119.999 | 120 after
    events     a          | b b c       | b' d          | e
    """
    rows = rebuilt(
        one(0, "a", -0.001), one(1, "b", 0), one(2, "e", 120), one(3, "b", 0, append_s=9_000),
        one(4, "c", 59.999, append_s=86_400), one(5, "b", 60), one(6, "d", 119.999),
    )  # fmt: skip
    assert counted(rows) == [(0, "cam-1", 0, 2), (1, "cam-1", 0, 2)]


def test_every_row_has_the_version_of_where_the_rebuild_ends() -> None:
    """Above all that workers have written for these panes: their offsets are below it."""
    stored = [Stored(place(0, "gone"), version_of(3, 49), 2), Stored(place(7), version_of(3, 49), 1)]
    progress = replace(AT_END, epoch=3)
    rows = rebuilt(one(END - 1, "a", 0), stored=stored, progress=progress)
    assert {r["version"] for r in rows} == {version_of(3, END)}
    assert counted(rows) == [(0, "cam-1", 0, 1), (0, "cam-1", 7, 0), (0, "gone", 0, 0)]


def test_what_lies_behind_the_end_is_left() -> None:
    """Also in the middle of a batch, and where a batch has gaps or is given again."""
    whole = batch(END - 2, 600, [message(camera_event(f"e{i}", i)) for i in range(4)])
    gaps = RecordBatch(END - 2, END + 5, whole.append_ms, whole.values, [END - 2, END - 1, END + 3, END + 4])
    for b in (whole, gaps):
        assert counted(rebuilt(b, b)) == [(0, "cam-1", 0, 2)]
    assert counted(rebuilt(whole, spec=replace(SPEC, dedupe=False))) == [(0, "cam-1", 0, 2)]


def test_late_rows_from_behind_the_end_stay() -> None:
    """Only rows that the rebuilt ones stand for are covered, and no row of nothing again."""
    stored = [
        Stored(place(7), END - 1, 1), Stored(place(8), END, 1), Stored(place(9), END + 1, 1),
        Stored(place(10), END - 1, 0), Stored(place(0, "old"), END, 3), Stored(place(0, "new"), END + 1, 3),
    ]  # fmt: skip
    assert counted(rebuilt(stored=stored)) == [(0, "cam-1", 7, 0), (0, "old", 0, 0)]


def test_windows_that_are_not_closed_are_left_alone() -> None:
    """The first event behind the end opens one: its row has the version that a rebuilt row would have."""
    progress = replace(AT_END, watermark_ms=T0_MS + MINUTE_MS)
    stored = [Stored(place(0, at_s=at_s), END, 1) for at_s in (0, 60)]
    assert counted(rebuilt(stored=stored, progress=progress)) == [(0, "cam-1", 0, 0)]


def test_late_rows_that_are_not_there_are_covered_too() -> None:
    """A replay writes the row of a late event that is registered; in a table made new there is none yet."""
    a, b = id_hash("a"), id_hash("b")
    known = {T0_MS: PaneIds(late={a: (12, 0), b: (END, 0)})}
    rows = rebuilt(one(3, "x", 5), one(12, "a", 10, camera_id="cam-2"), one(13, "b", 20), known=known)
    assert counted(rows) == [(0, "cam-1", 0, 2), (0, "cam-2", 0, 1), (0, "cam-2", a, 0)]


def test_without_ids_each_event_counts_and_late_ones_are_known_by_their_place() -> None:
    """A stream whose producers can't send twice."""
    spec = replace(SPEC, dedupe=False)
    known = {T0_MS: PaneIds(late={id_hash("(12, 0)"): (12, 0)})}
    rows = rebuilt(one(3, "x", 5), one(12, "x", 10), spec=spec, known=known)
    assert counted(rows) == [(0, "cam-1", 0, 2), (0, "cam-1", id_hash("(12, 0)"), 0)]


def decided(change: int, partitions: int, since: int = 0, epoch: int = 0, *, forward: bool = True) -> Homes:
    """A decision that holds of partition 0 from an offset on."""
    offsets = (since,) if since else ()
    return Homes(SPEC.topic, "id", change, partitions, forward, epoch, offsets)


CAMERAS = [f"cam-{n}" for n in range(9)]


@hypothesis_settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.integers(0, 12)), max_size=3),
    st.integers(0, 6),
    st.lists(st.lists(st.sampled_from(CAMERAS), min_size=1, max_size=3), min_size=12, max_size=12),
    st.booleans(),
)
def test_a_stray_is_of_no_window_where_it_lies(
    changes: list[tuple[int, bool, int]], first: int, log: list[list[str]], dedupe: bool
) -> None:
    """By what held at its offset: before the first decision and where strays stay, each counts there."""
    starts = sorted(since for _, _, since in changes)
    homes = [
        decided(change, number, since, forward=forward)
        for change, ((number, forward, _), since) in enumerate(zip(changes, starts, strict=True))
    ]
    batches = [
        batch(
            first + n, 600, [message(*(camera_event(f"{n}/{i}", n, camera_id=c) for i, c in enumerate(some)))]
        )
        for n, some in enumerate(log)
    ]
    wanted = Counter[str]()
    for n, some in enumerate(log):
        held = at_offset(homes, 0, first + n) if dedupe else None
        number = held.partitions if held and held.forward else 1
        wanted.update(c for c in some if partition_of(c.encode(), number) == 0)
    rows = rebuilt(*batches, homes=homes, spec=replace(SPEC, dedupe=dedupe))
    assert {r["camera_id"]: r["events"] for r in rows} == wanted


@pytest.mark.parametrize(
    ("epoch", "topic_id", "homes", "expected"),
    [
        (2, "id", [], 2),  # of the version before, or a Kafka that nobody asked
        (2, "id", [decided(0, 6, 0, 2)], 2),
        (2, "id", [decided(0, 6, 0, 0), decided(1, 6, 40, 1), decided(2, 6, 70, 2)], 0),
        (3, "id", [decided(0, 6, 0, 1), decided(1, 6, 40, 3)], 1),
        (1, "id", [decided(1, 6, 40, 1)], 0),  # events have been counted before there were homes
        (6, "id", [decided(1, 6, 40, 5), decided(2, 6, 70, 6)], 4),
        (0, "id", [decided(0, 6, 0, 0), decided(1, 6, 40, 1)], 0),  # it broke off before progress was put
        # without ids the decisions are on a log of epochs 0 and 1, and on one that was made anew in epoch 2
        (2, "", [decided(0, 6, 0, 0), decided(1, 6, 40, 1)], 2),
        (3, "", [decided(0, 6, 0, 0), decided(1, 6, 40, 1), decided(2, 6, 9, 3)], 2),
        (1, "", [decided(0, 6, 0, 0), decided(1, 6, 40, 1)], 0),
    ],
)
def test_a_log_has_an_epoch_more_for_each_change_of_homes(
    epoch: int, topic_id: str, homes: list[Homes], expected: int
) -> None:
    """Rows from before it were read from the same log, and not from one that is lost."""
    assert first_epoch(homes, topic_id, epoch) == expected


def test_what_is_refused_is_not_counted() -> None:
    """Garbage, bad events of bundles, and events further ahead of their append time than the skew."""
    bundle = message(camera_event("b", 1), camera_event("c", 2, count=0), camera_event("d", 3))
    ahead = batch(9, -31, [message(camera_event("e", 0))])
    just = batch(10, -30, [message(camera_event("f", 0))])
    rows = rebuilt(batch(0, 600, [b"{", None, b"[]", bundle]), ahead, just)
    assert counted(rows) == [(0, "cam-1", 0, 3)]


@pytest.mark.parametrize(
    ("watermark_s", "newest_s", "expected_s"),
    [
        (300, 300, None),  # all closed
        (120, 300, None),  # the last one closes as its end is passed
        (119.999, 300, 60),
        (60, 300, 60),
        (59, 300, 0),
        (-500, 300, 0),
        (30, 59, 0),
        (-30, -1, None),  # nothing of these windows has come to this partition yet
        (60, 59, None),
    ],
)
def test_the_first_window_that_may_be_open(
    watermark_s: float, newest_s: float, expected_s: int | None
) -> None:
    """A window is open when the watermark has not passed its end, and the newest event is as new.

    windows     0 ...... 60 ...... 120
    """
    progress = replace(
        AT_END, watermark_ms=T0_MS + round(watermark_s * 1000), max_event_ms=T0_MS + round(newest_s * 1000)
    )
    expected = None if expected_s is None else T0_MS + expected_s * 1000
    assert first_open(progress, SPAN) == expected


@pytest.mark.parametrize(
    ("from_s", "to_s", "first_s", "end_s"), [(0, 60, 0, 60), (0.001, 60.001, 60, 120), (-59.999, 1, 0, 60)]
)
def test_a_span_is_of_whole_windows(from_s: float, to_s: float, first_s: int, end_s: int) -> None:
    """Those that start at `from` or later, and before `to`."""
    span = Span.of(T0_MS + round(from_s * 1000), T0_MS + round(to_s * 1000), MINUTE_MS)
    assert span == Span(T0_MS + first_s * 1000, T0_MS + end_s * 1000)
    assert list(span.panes(MINUTE_MS)) == [T0_MS + first_s * 1000]


def test_a_span_without_a_window_is_an_error() -> None:
    """Also one that ends before it begins."""
    for from_s, to_s in ((0, 0), (1, 59), (60, 0)):
        with pytest.raises(ValueError, match="no window of 60 s starts"):
            Span.of(T0_MS + from_s * 1000, T0_MS + to_s * 1000, MINUTE_MS)


def test_corrections_say_what_the_counters_do_not_know() -> None:
    """Events of a window against those that were counted; nothing where that is not known any more.

    window      0            60           120
    counted     2, 1 late    ids gone     1
    log         4            1            1
    """
    span = Span(T0_MS, T0_MS + 3 * MINUTE_MS)
    known = {
        T0_MS: PaneIds(array("Q", [1, 2]), {3: (5, 0), 4: (END, 0)}),
        T0_MS + 2 * MINUTE_MS: PaneIds(array("Q", [1])),
    }
    rebuild = Rebuild(SPEC, RULES, AT_END, span, known)
    for i, at_s in enumerate((0, 1, 2, 3, 60, 120)):
        rebuild.fold(one(i, f"e{i}", at_s))
    assert list(rebuild.corrections({})) == [Correction(T0_MS, 1)]
    third = T0_MS + 2 * MINUTE_MS
    assert list(rebuild.corrections({third: 8})) == [Correction(T0_MS, 1), Correction(third, 0)]


def test_windows_that_have_closed_behind_the_end_need_no_correction() -> None:
    """A partition was quiet when the rebuild began; its ids are there before they are looked up."""
    progress = replace(AT_END, watermark_ms=T0_MS + MINUTE_MS)
    known = {T0_MS + n * MINUTE_MS: PaneIds(array("Q", [1, 2])) for n in range(2)}
    rebuild = Rebuild(SPEC, RULES, progress, SPAN, known)
    assert list(rebuild.corrections({})) == [Correction(T0_MS, -2)]


def test_rows_of_earlier_logs_and_newer_rebuilds_are_noticed() -> None:
    """Versions tell: a lower epoch that still holds events, an own row of a closed pane behind the end."""
    progress = replace(AT_END, epoch=1, watermark_ms=T0_MS + MINUTE_MS)
    rows = [Stored(place(0), version_of(0, 9), 3), Stored(place(5), version_of(0, 9), 0)]
    assert earlier_logs(rows, progress.epoch) == 3
    own = Stored(place(0), version_of(1, 70), 1)
    after = Stored(place(0, at_s=60), version_of(1, 90), 1)
    late = Stored(place(5), version_of(1, 80), 1)
    assert newest_closed([own, after, late], progress) == version_of(1, 70)
    assert newest_closed([], progress) == 0


def test_a_rebuild_that_would_lose_rows_is_refused() -> None:
    """Of a topic that was recreated, and of progress that is out of date; it says what to do."""
    sink = MemorySink()
    log = [one(i, f"e{i}", 30 * i, append_s=30 * i) for i in range(20)]
    worker = fold_all(sink, SPEC, log)
    for progress, match in (
        (replace(worker, epoch=1, next_offset=2), "--accept-gap"),
        (replace(worker, next_offset=2), "out of date"),
    ):
        with pytest.raises(CannotRebuild, match=match):
            rebuild_all(sink, SPEC, log, progress)
    rebuild_all(sink, SPEC, log, replace(worker, epoch=1, next_offset=2), accept_gap=True)
    assert sum(int(str(row[9])) for row in sink.rows(SPEC).values() if row[0] == T0_MS // 1000) == 2


def sent_away(_: Sequence[StrayMessage]) -> None:
    """What is sent to other partitions is theirs to count."""


def fold_all(
    sink: MemorySink, spec: StreamSpec, log: Sequence[RecordBatch], progress: Progress | None = None
) -> Progress:
    """A worker that folds the log to its end and flushes now and then; its progress."""
    state, deduplicator = (
        PlainFold(spec, RULES, progress or Progress(spec.name, spec.topic, 0)),
        LateDeduplicator(),
    )
    for n, b in enumerate(log):
        state.fold(pack(b))
        if n % 3 == 0 or b is log[-1]:
            changes = state.capture()
            settled = drop_late_duplicates(sink, [(deduplicator, changes)]) if changes else []
            for _ in steps(sink, spec, settled, sent_away) if settled else ():
                pass
    return sink.progress(spec.topic, [0])[0]


def rebuild_all(
    sink: MemorySink,
    spec: StreamSpec,
    log: Sequence[RecordBatch],
    progress: Progress,
    *,
    accept_gap: bool = False,
) -> None:
    """Rebuild every window that the progress has closed."""
    open_ms = first_open(progress, Span(0, T0_MS * 2)) or T0_MS + 3_600_000
    span = Span(T0_MS - 60 * MINUTE_MS, open_ms)
    shadow = MemoryShadow(sink, spec, MINUTE_MS, span)
    for _ in fill(sink, shadow, spec, RULES, span, progress, lambda _: log, accept_gap=accept_gap):
        pass
    for _ in swap(shadow):
        pass


def rehome(sink: MemorySink, log: Sequence[RecordBatch], stored: Progress, decision: Homes) -> Progress:
    """A new decision, behind the stored position: what was open there is closed, in a new epoch."""
    before = replace(stored, epoch=decision.epoch)
    fold = PlainFold(SPEC, RULES, before)
    for each in log:
        fold.fold(pack(each))
    fold.close_all()
    changes = fold.capture()
    assert changes
    after = replace(changes.progress, homes=decision.partitions, forward=decision.forward)
    for _ in steps(sink, SPEC, [replace(changes, progress=after)], sent_away):
        pass
    sink.put_homes(decision)
    return after


OLD = replace(SPEC, measures=SPEC.measures[1:])
EVENTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 400), st.integers(1, 9), st.integers(0, 40)),
    min_size=1, max_size=25,
)  # fmt: skip


@hypothesis_settings(max_examples=150)
@given(EVENTS, EVENTS)
def test_a_measure_that_is_added_reaches_the_past(before: list[Any], after: list[Any]) -> None:
    """Workers restarted with it give it to open windows, by their replay; a rebuild to closed ones."""
    log = made(before + after)
    sink = MemorySink()
    old = fold_all(sink, OLD, log[: len(before)])
    migrated = with_column(sink)
    new = fold_all(migrated, SPEC, [b for b in log if b.next_offset > old.replay_from], old)
    rebuild_all(migrated, SPEC, log, new)
    fresh = MemorySink()
    fold_all(fresh, SPEC, log)
    assert whole(migrated) == whole(fresh)
    assert migrated.corrections(SPEC.topic, 0) == {}


@hypothesis_settings(max_examples=150)
@given(EVENTS, st.integers(0, 25))
def test_a_dimension_that_is_added_reaches_the_past(events: list[Any], back: int) -> None:
    """It takes a table of its own: a rebuild fills it, and a replay of late events adds nothing to that."""
    spec = replace(SPEC, table="new_windows")
    log, sink = made(events), MemorySink()
    progress = fold_all(sink, SPEC, log)
    rebuild_all(sink, spec, log, progress)
    stale = replace(progress, **earlier(log[:back]))
    fold_all(sink, spec, [b for b in log if b.next_offset > stale.replay_from], stale)
    fresh = MemorySink()
    fold_all(fresh, SPEC, log)
    assert whole(sink, spec) == whole(fresh)


@hypothesis_settings(max_examples=150)
@given(EVENTS, EVENTS, st.integers(0, 3), st.booleans(), st.integers(1, 3), st.booleans())
def test_a_rebuild_finds_nothing_wrong_whatever_was_decided_on_homes(
    before: list[Any], after: list[Any], number: int, forward: bool, then: int, forward_then: bool
) -> None:
    """It judges as workers did: before and behind a change of homes, and before there were any (0)."""
    log, sink = made(before + after), MemorySink()
    begun = Progress(SPEC.name, SPEC.topic, 0, topic_id="id", homes=number, forward=forward)
    if number:
        sink.put_homes(decided(0, number, forward=forward))
    stored = fold_all(sink, SPEC, log[: len(before)], begun)
    changed = rehome(
        sink, log[: len(before)], stored, decided(1, then, stored.next_offset, 1, forward=forward_then)
    )
    progress = fold_all(sink, SPEC, log[len(before) :], changed)
    shown, counted_events = whole(sink), sum_of_events(sink)
    rebuild_all(sink, SPEC, log, progress)
    assert whole(sink) == shown
    assert sink.corrections(SPEC.topic, 0) == {}
    assert sum_of_events(sink) == counted_events == progress.folded + progress.late
    assert progress.folded + progress.late + progress.duplicates + progress.strays == len(log)


def sum_of_events(sink: MemorySink) -> int:
    """Of all rows."""
    at = SPEC.columns.index("events")
    return sum(int(str(row[at])) for row in sink.rows(SPEC).values())


def earlier(log: Sequence[RecordBatch]) -> dict[str, Any]:
    """The progress of a worker that has read so much."""
    sink = MemorySink()
    if not log:
        return {f: getattr(Progress("", "", 0), f) for f in Progress.__slots__[3:]}
    progress = fold_all(sink, SPEC, log)
    return {f: getattr(progress, f) for f in Progress.__slots__[3:]}


def made(events: list[Any]) -> list[RecordBatch]:
    """A message for each (id, age in half seconds, count, seconds passed); ids of one window repeat."""
    log, now_s = list[RecordBatch](), 0
    for offset, (number, age, count, passed) in enumerate(events):
        now_s += passed
        at_s = now_s - age / 2
        event = camera_event(
            f"e{number}/{at_s // 60}", at_s // 60 * 60, camera_id=f"cam-{number % 4}", count=count
        )
        log.append(batch(offset, now_s, [message(event)]))
    return log


def with_column(sink: MemorySink) -> MemorySink:
    """What a migration does that adds the measure's column: 0 in all rows that there are."""
    at = OLD.columns.index("events") + 1
    assert isinstance(SPEC.measures[0], Sum)
    table = sink._rows.get(OLD.table, {})
    sink._rows[OLD.table] = {k: (v, (*row[:at], 0, *row[at:])) for k, (v, row) in table.items()}
    return sink


def whole(sink: MemorySink, spec: StreamSpec = SPEC) -> dict[Row, tuple[int, int]]:
    """Events and objects of each window and camera, late or not."""
    found: dict[Row, tuple[int, int]] = {}
    for row in sink.rows(spec).values():
        events, objects = (int(str(n)) for n in row[LATE_ID + 2 : LATE_ID + 4])
        if events:
            before = found.get(row[:2], (0, 0))
            found[row[:2]] = before[0] + events, before[1] + objects
    return found
