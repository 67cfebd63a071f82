"""Late events against what is known of their panes."""

from array import array
from dataclasses import replace

from streams.core.late import LateEvent, LateEvents
from streams.core.late_duplicates import LateDeduplicator
from streams.core.rows import Rows
from streams.core.values import Changes, ClosedPane, PaneIds, Progress, version_of

PANE = 60_000


def late(event_id: int, offset: int, pane: int = PANE) -> LateEvent:
    """A late event with a number for its id."""
    return LateEvent(pane, event_id, f"e{event_id}", pane + 5, pane + 500_000, (offset, 0), (event_id,))


def changes(*events: LateEvent, seen: int | None = None, closed: tuple[ClosedPane, ...] = ()) -> Changes:
    """A capture whose progress counts every late event seen so far."""
    progress = Progress("camera", "camera.events", 0, late=len(events) if seen is None else seen)
    return Changes(progress, Rows(), list(closed), LateEvents.of(events), [])


def ids(settled: Changes) -> list[int]:
    """Which events are new."""
    return [event.id for event in settled.late]


def asked(deduplicator: LateDeduplicator, capture: Changes) -> dict[int, set[int]]:
    """The ids that it asks for, by pane."""
    return {pane: {*of_pane} for pane, of_pane in deduplicator.asked(capture).items()}


def test_an_id_counted_on_time_is_a_duplicate() -> None:
    """The pane's own ids are looked up; what they hold is not added again."""
    settled = LateDeduplicator().drop(
        changes(late(1, 10), late(2, 11)), {PANE: PaneIds(on_time=array("Q", [1, 3]))}
    )
    assert ids(settled) == [2]
    assert (settled.progress.late, settled.progress.duplicates) == (1, 1)


def test_a_late_event_sent_twice_is_counted_once() -> None:
    """The second late arrival is a duplicate of the first, in the same capture or a later one."""
    deduplicator = LateDeduplicator()
    first = deduplicator.drop(changes(late(1, 10), late(1, 11)), {})
    # by now it is stored
    second = deduplicator.drop(changes(late(1, 12), seen=3), {PANE: PaneIds(late={1: (10, 0)})})
    assert (ids(first), ids(second)) == ([1], [])
    assert (second.progress.late, second.progress.duplicates) == (1, 2)


def test_a_replayed_late_event_is_not_its_own_duplicate() -> None:
    """After a crash the same offset finds itself registered, and is written again."""
    registered = {PANE: PaneIds(late={1: (10, 0)})}
    assert ids(LateDeduplicator().drop(changes(late(1, 10)), registered)) == [1]
    assert ids(LateDeduplicator().drop(changes(late(1, 11)), {PANE: PaneIds(late={1: (10, 0)})})) == []


def test_panes_just_closed_need_no_lookup() -> None:
    """The ids of a pane closed in the same flush are in memory."""
    deduplicator = LateDeduplicator()
    closed = ClosedPane(PANE, array("Q", [1]))
    capture = changes(late(1, 10), late(2, 11), late(3, 12, pane=2 * PANE), closed=(closed,))
    assert asked(deduplicator, capture) == {2 * PANE: {3}}
    assert ids(deduplicator.drop(capture, {})) == [2, 3]
    assert deduplicator.asked(changes(late(4, 13))) == {}


def test_a_small_cache_asks_again() -> None:
    """What is forgotten is looked up again, so memory is bounded and the answer stays the same."""
    deduplicator = LateDeduplicator(capacity=1)
    deduplicator.drop(changes(late(1, 10), closed=(ClosedPane(PANE, array("Q", [2])),)), {})
    again = changes(late(1, 11), seen=2)
    assert asked(deduplicator, again) == {PANE: {1}}
    assert ids(deduplicator.drop(again, {PANE: PaneIds(late={1: (10, 0)})})) == []


def test_only_ids_that_came_late_are_asked_for() -> None:
    """However many panes and partitions they are of, and however many ids those hold."""
    events = [late(n % 7, n, pane=PANE * (n % 100)) for n in range(1000)]
    found = asked(LateDeduplicator(), changes(*events))
    assert found == {PANE * pane: {n % 7 for n in range(pane, 1000, 100)} for pane in range(100)}


def test_what_was_looked_up_is_not_kept() -> None:
    """It holds no more than what was asked for, so it is no answer to the next question."""
    deduplicator = LateDeduplicator()
    found = {PANE: PaneIds(on_time=array("Q", [1]))}
    assert ids(deduplicator.drop(changes(late(1, 10), late(2, 11)), found)) == [2]
    assert found == {PANE: PaneIds(on_time=array("Q", [1]))}
    assert asked(deduplicator, changes(late(1, 12))) == {PANE: {1}}


def test_a_late_event_of_a_recreated_topic_is_a_duplicate_at_a_lower_offset() -> None:
    """Offsets begin anew with a topic, so places compare by epoch first."""
    capture = changes(late(1, 5))
    capture = replace(capture, progress=replace(capture.progress, epoch=1))
    assert ids(LateDeduplicator().drop(capture, {PANE: PaneIds(late={1: (700, 0)})})) == []
    assert ids(LateDeduplicator().drop(capture, {PANE: PaneIds(late={1: (version_of(1, 5), 0)})})) == [1]
