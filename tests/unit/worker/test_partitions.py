"""Which states a worker holds, and what it does with batches that do not fit."""

import pytest

from streams.core.rules import Rules
from streams.core.values import PackedBatches, Progress
from streams.registry import load_streams
from streams.worker.errors import FoldFailed
from streams.worker.partitions import Partitions
from streams.worker.values import Fetched
from tests.support.events import packed

SPEC = load_streams()["camera"]
T0 = 1_700_000_000_000
P0, P1 = ("camera.events", 0), ("camera.events", 1)


def event(i: int, at_ms: int = T0) -> bytes:
    """A camera event with an id of its own."""
    return b'{"event_id":"e%d","occurred_at":%d,"ward_code":"w","camera_id":"c","kind":"vehicle"}' % (
        i,
        at_ms,
    )


def fetched(start: int, base: int, count: int) -> Fetched:
    """`count` events from offset `base`, read from `start`."""
    return Fetched(start, packed(base, base + count, T0, [event(base + i) for i in range(count)]))


@pytest.fixture
def partitions() -> Partitions:
    """Holding partition 0 from its beginning."""
    held = Partitions([SPEC], Rules())
    held.add(held.empty(P0))
    return held


def test_states_of_partitions_that_stay_are_kept(partitions: Partitions) -> None:
    """Those that are lost go, those that are new are named."""
    partitions.fold(P0, fetched(0, 0, 3))
    assert partitions.missing([P0, P1]) == {P1}
    assert partitions.positions() == {P0: 3}
    assert partitions.missing([P1]) == {P1}
    assert partitions.positions() == {}


def test_topics_of_others_are_not_asked_for(partitions: Partitions) -> None:
    """A group may be shared by mistake."""
    assert partitions.missing([P0, ("elsewhere", 0)]) == set()


def test_a_batch_behind_a_missing_one_is_not_folded(partitions: Partitions) -> None:
    """Folding it would account for events that never came."""
    assert partitions.fold(P0, fetched(0, 0, 3))
    assert not partitions.fold(P0, fetched(5, 5, 2))
    assert partitions.positions() == {P0: 3}


def test_a_hole_in_the_log_is_no_missing_batch(partitions: Partitions) -> None:
    """Read from 3, but compaction has left nothing before 7."""
    assert partitions.fold(P0, fetched(0, 0, 3))
    assert partitions.fold(P0, fetched(3, 7, 2))
    assert partitions.positions() == {P0: 9}


def test_a_batch_delivered_again_changes_nothing(partitions: Partitions) -> None:
    """Every rebalance seeks all partitions."""
    partitions.fold(P0, fetched(0, 0, 3))
    partitions.fold(P0, fetched(1, 1, 2))
    [captured] = partitions.capture()
    assert (captured.changes.progress.next_offset, captured.changes.progress.folded) == (3, 3)


def test_a_batch_without_messages_moves_the_position(partitions: Partitions) -> None:
    """Otherwise a drain would wait for ever behind a transaction marker."""
    assert partitions.fold(P0, Fetched(0, packed(0, 1, T0, (), ())))
    [captured] = partitions.capture()
    assert captured.changes.progress.next_offset == 1


def test_a_partition_that_was_lost_is_ignored(partitions: Partitions) -> None:
    """Its last poll may still be on the way to the agent."""
    assert partitions.fold(P1, fetched(9, 9, 1))
    assert partitions.capture() == []


def test_what_waits_is_weighed_until_it_is_captured(partitions: Partitions) -> None:
    """Back-pressure goes by this sum."""
    partitions.fold(P0, fetched(0, 0, 3))
    partitions.weigh(P0)
    assert partitions.pending_bytes > 0
    partitions.capture()
    assert partitions.pending_bytes == 0


def test_a_replay_weighs_nothing() -> None:
    """Nothing of it is captured before its end, so waiting for room would never end."""
    held = Partitions([SPEC], Rules())
    held.add(Progress("camera", *P0, next_offset=10, replay_from=0, max_event_ms=T0, max_append_ms=T0))
    held.fold(P0, fetched(0, 0, 5))
    held.weigh(P0)
    assert held.pending_bytes == 0
    assert held.capture() == []


def test_a_fold_that_raises_names_the_place(partitions: Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a defect, and the message is all that there is to find it by."""

    class Broken:
        position = 0

        def fold(self, batch: PackedBatches) -> None:
            raise ZeroDivisionError

    held = partitions._held[P0]
    monkeypatch.setitem(partitions._held, P0, type(held)(held.spec, Broken(), held.deduplicator))  # type: ignore[arg-type] # a stand-in
    with pytest.raises(FoldFailed, match=r"camera\.events\[0\]: folding offsets 0 to 2 failed"):
        partitions.fold(P0, fetched(0, 0, 3))
