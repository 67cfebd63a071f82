"""The fold of one partition, as tables of events against the watermark.

Panes of one minute, two minutes of disorder, five minutes of skew: an event is late once an event
(and an append time) two minutes beyond its pane's end has been seen.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from streams.catalog.camera import SPEC
from streams.core.plain import PlainFold
from streams.core.records import pack
from streams.core.rules import Rules
from streams.core.values import Changes, PackedBatches, Progress, RecordBatch
from tests.support.engines import ENGINES, engine
from tests.support.events import T0_MS, camera_event, message
from tests.support.events import batch as messages

RULES = Rules()
ORIGIN = Progress("camera", "camera.events", 3)


@pytest.fixture(autouse=True, params=ENGINES)
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table holds for both engines."""
    monkeypatch.setitem(globals(), "PlainFold", engine(request.param))


def batch(base_offset: int, append_s: float, values: Sequence[bytes | None]) -> PackedBatches:
    """As it stands in a log."""
    return pack(messages(base_offset, append_s, values))


def fold(*batches: PackedBatches, progress: Progress = ORIGIN) -> PlainFold:
    """A state that has folded these batches."""
    state = PlainFold(SPEC, RULES, progress)
    for b in batches:
        state.fold(b)
    return state


def captured(state: PlainFold) -> Changes:
    """What the state has to flush; there must be something."""
    changes = state.capture()
    assert changes is not None
    return changes


def named(row: tuple[object, ...]) -> dict[str, object]:
    """A row by its columns' names."""
    return dict(zip(SPEC.columns, row, strict=True))


def test_events_of_a_pane_become_one_row() -> None:
    """Totals of a window are those of its events; the version is the offset of the last one.

    08:00:00            08:01:00            08:02:00
    [--a--b-------------)[--c---------------)
    """
    a, b, c = (
        camera_event(i, at, count=n, speed_kmh=v)
        for i, at, n, v in [("a", 5, 2, 30), ("b", 8, 3, 50.5), ("c", 60, 1, None)]
    )
    rows = [named(r) for r in captured(fold(batch(10, 61, [message(a), message(b), message(c)]))).rows]
    assert [(r["window_start"], r["events"], r["objects"], r["version"]) for r in rows] == [
        (T0_MS // 1000, 2, 5, 11),
        (T0_MS // 1000 + 60, 1, 1, 12),
    ]
    assert (rows[0]["speed_count"], rows[0]["speed_sum"], rows[0]["speed_max"]) == (2, 80_500, 50_500)
    assert (rows[1]["speed_count"], rows[1]["speed_buckets"]) == (0, [])
    assert rows[0]["late_id"] == 0
    assert rows[0]["object_class"] == ""


def test_a_duplicate_in_an_open_pane_is_counted_once() -> None:
    """The same id in the same pane adds nothing, in whatever message it comes."""
    a = camera_event("a", 5)
    state = fold(batch(0, 6, [message(a), message(a), message(a, camera_event("b", 6))]))
    assert (state.folded, state.progress.duplicates) == (2, 2)
    assert [named(r)["events"] for r in captured(state).rows] == [2]


def test_the_watermark_closes_a_pane_and_hands_out_its_ids() -> None:
    """An event two minutes beyond the end closes the pane, not one millisecond sooner.

    08:00         08:01         08:02         08:03
    [--a----------)             |<- disorder ->e
    """
    early = [message(camera_event("a", 5)), message(camera_event("e", 179.999))]
    state = fold(batch(0, 200, early))
    assert captured(state).closed == []
    state.fold(batch(2, 201, [message(camera_event("f", 180))]))
    (closed,) = captured(state).closed
    assert (closed.window_start_ms, len(closed.ids)) == (T0_MS, 1)


def test_an_event_of_a_closed_pane_is_late() -> None:
    """A late event becomes a row of its own, and does not touch the pane's row."""
    state = fold(batch(0, 200, [message(camera_event("a", 5)), message(camera_event("b", 180))]))
    captured(state)
    state.fold(batch(2, 201, [message(camera_event("c", 59.999, count=7)), message(camera_event("d", 60))]))
    changes = captured(state)
    (late,) = changes.late
    assert (late.event_id, late.window_start_ms, late.position) == ("c", T0_MS, (2, 0))
    row = named(late.row)
    assert (row["late_id"], row["events"], row["objects"], row["version"]) == (late.id, 1, 7, 2)
    assert [named(r)["window_start"] for r in changes.rows] == [T0_MS // 1000 + 60]
    assert (state.folded, state.progress.late) == (3, 1)


def test_one_fast_clock_makes_nobody_late() -> None:
    """An event four minutes ahead is counted; the append time holds the watermark back."""
    ahead = message(camera_event("fast", 240))
    state = fold(batch(0, 10, [ahead, message(camera_event("a", 5)), message(camera_event("b", 8))]))
    assert (state.folded, state.progress.late, state.progress.watermark_ms) == (
        3,
        0,
        T0_MS + 10_000 - 120_000,
    )


def test_the_skew_allowance_is_inclusive() -> None:
    """Five minutes ahead is accepted; one millisecond more is a dead letter with its own bytes."""
    events = [camera_event("ok", 310), camera_event("future", 310.001)]
    state = fold(batch(0, 10, [message(*events)]))
    (dead,) = captured(state).dead
    assert (dead.offset, dead.index, dead.field, dead.raw) == (0, 1, "occurred_at", message(events[1]))
    assert "ahead of the broker's append time" in dead.reason
    assert (state.folded, state.progress.dead) == (1, 1)


def test_garbage_moves_nothing_but_the_position() -> None:
    """A message that can't be read is a dead letter; watermark and rows stay as they are."""
    state = fold(batch(0, 10, [b"\xff\x00 noise", None, message(camera_event("", 5))]))
    changes = captured(state)
    assert [(d.offset, d.index) for d in changes.dead] == [(0, 0), (1, 0), (2, 0)]
    assert (changes.progress.dead, changes.progress.watermark_ms, changes.progress.next_offset) == (3, 0, 3)


def test_offsets_already_folded_are_ignored() -> None:
    """Every rebalance seeks again, so a state meets messages that it has already folded."""
    first = batch(0, 10, [message(camera_event("a", 5)), message(camera_event("b", 6))])
    state = fold(first, first, batch(1, 10, [message(camera_event("b", 6)), message(camera_event("c", 7))]))
    assert (state.folded, state.progress.duplicates, state.position) == (3, 0, 3)


def test_a_batch_without_messages_moves_the_position() -> None:
    """Behind a transaction marker the log has an end that no message reaches."""
    state = fold(batch(0, 10, [message(camera_event("a", 5))]), pack(RecordBatch(1, 4, T0_MS, [])))
    assert captured(state).progress.next_offset == 4


def test_a_capture_takes_only_what_changed() -> None:
    """A row is written again only when it grew, and nothing at all when nothing came."""
    state = fold(
        batch(0, 10, [message(camera_event("a", 5)), message(camera_event("b", 5, camera_id="cam-2"))])
    )
    assert len(captured(state).rows) == 2
    assert state.capture() is None
    state.fold(batch(2, 11, [message(camera_event("c", 5))]))
    (row,) = captured(state).rows
    assert (named(row)["camera_id"], named(row)["events"]) == ("cam-1", 2)


def test_a_restart_rebuilds_open_panes_and_skips_closed_ones() -> None:
    """From replay_from to next_offset only open panes are rebuilt; nothing is counted twice.

    08:00         08:01         08:02         08:03
    [--a----------)[--b---------)             |e          | stored here | f (duplicate of b), g
    """
    log = [camera_event("a", 5), camera_event("b", 65), camera_event("e", 185)]
    before = fold(batch(0, 200, [message(e) for e in log]))
    stored = captured(before).progress
    assert (stored.replay_from, stored.next_offset) == (1, 3)
    more = batch(3, 201, [message(camera_event("b", 65)), message(camera_event("g", 66))])
    after = fold(batch(1, 200, [message(e) for e in log[1:]]), progress=stored)
    assert after.capture() is not None, "rows of open panes are written again: a restored store heals"
    after.fold(more)
    before.fold(more)
    assert captured(after) == captured(before)


def test_nothing_is_captured_while_open_panes_are_rebuilt() -> None:
    """A flush in the middle of a replay would store less than is stored already."""
    stored = Progress(
        "camera", "camera.events", 3, next_offset=2, replay_from=0, max_event_ms=T0_MS, folded=2
    )
    state = fold(batch(0, 10, [message(camera_event("a", 5))]), progress=stored)
    assert state.replaying
    assert state.capture() is None


def test_what_is_late_or_refused_is_not_kept_twice() -> None:
    """While panes are rebuilt it may be any amount, and all of it is stored: none of it may fill memory."""
    late = [message(camera_event(f"late-{n}", -3600)) for n in range(2000)]
    log = [batch(0, 1, [message(camera_event("open", 0))]), batch(1, 2, [*late, *[b"{"] * 2000])]
    stored = captured(fold(*log)).progress
    assert (stored.replay_from, stored.late, stored.dead) == (0, 2000, 2000)
    cut = replace(stored, next_offset=stored.next_offset + 1)
    restarted = fold(*log, progress=cut)
    assert restarted.replaying
    assert restarted._ledger.bytes == 0
    restarted.fold(batch(4001, 2, [message(camera_event("open", 0))]))
    assert (restarted.replaying, restarted.events) == (False, fold(*log).events)
    restarted.fold(batch(4002, 2, late[:5]))
    assert len(captured(restarted).late) == 5


def test_a_restart_closes_panes_at_the_same_offset() -> None:
    """The highest event time and append time are stored, each by itself: the watermark alone is not enough.

    a (append 0) lies 200 s ahead; b and c bring the append time to where a's own time closes panes.
    """
    log = [batch(0, 0, [message(camera_event("a", 200))])]
    more = [batch(1, 170, [message(camera_event("b", 10))]), batch(2, 185, [message(camera_event("c", 20))])]
    never_stopped = fold(*log)
    stored = captured(never_stopped).progress
    restarted = fold(*log, progress=stored)
    restarted.capture()
    for state in (never_stopped, restarted):
        for b in (*more, batch(3, 186, [message(camera_event("d", 30))])):
            state.fold(b)
    assert never_stopped.progress.late == 1, "d comes after the watermark reached 08:01:05"
    assert captured(restarted).progress == captured(never_stopped).progress
