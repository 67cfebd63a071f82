"""Batches that no client makes: each is what it says to be, and the reader of the log knows it by its tag."""

from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.structs import TopicPartition

from schemas.camera import CameraEvent
from schemas.codec import Bundle, Codec
from streams.core.pane import id_hash
from streams.core.records import HEADER
from tests.chaos.attacks import ATTACKS, alike
from tests.chaos.hostile import BOMBS, TRICKS, UNPACK_MB, UNREAD, Raw, packed_bomb, raw, with_raw
from tests.chaos.log import Record, Tagged
from tests.chaos.traffic import Plan, Traffic

TP = TopicPartition("camera.events", 1)
MB = 1 << 20


def traffic(messages: int = 300) -> Traffic:
    """A little of it."""
    return Traffic(Plan(seed=1, now_ms=1_715_587_200_000, messages=messages))


def test_each_batch_bears_its_tag_and_says_what_is_in_it() -> None:
    """Of all kinds, in a moment."""
    found = {item.tag: item for item in with_raw(traffic(), 0.9) if isinstance(item, Raw)}
    kinds = set()
    for tag, item in found.items():
        header = HEADER.unpack_from(item.data)
        assert header[7] == tag
        deltas = [delta for delta, _ in item.truth]
        assert deltas == sorted(set(deltas))
        assert deltas[-1] < header[-1]
        kinds.add(len(item.truth))
    assert len(found) > 200
    assert kinds == {1, 2}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_bomb_is_small_and_unpacks_to_more_than_a_worker_takes(codec: int) -> None:
    """Or it would be none."""
    assert len(packed_bomb(codec)) < MB
    assert BOMBS[codec] > UNPACK_MB * MB


@pytest.mark.parametrize("name", ATTACKS)
def test_what_an_attack_sends(name: str) -> None:
    """Bytes of the size that a message may have, and each time others."""
    new = Traffic(Plan(seed=2, now_ms=1_715_587_200_000, messages=1)).event
    made = [ATTACKS[name](Random(n), 1_715_587_200_000, lambda at_ms: new(at_ms, TP.topic)) for n in range(3)]
    assert all(0 < len(value) < MB for values in made for value in values)
    decoded = [Codec(CameraEvent).decode(value) for value in made[0]]
    if name in ("future", "ancient", "chosen"):
        # of kinds that only a time or an id makes bad, each event is valid
        assert all(isinstance(one, Bundle) and not one.refusals for one in decoded)
    else:
        assert all(isinstance(one, Bundle) and not one.events for one in decoded)


def test_chosen_ids_are_alike() -> None:
    """In bits that a table of ids could go by."""
    assert len({id_hash(name) & 511 for name in alike()}) == 1


class Batches:
    """The batches of one fetch, as kafka-python has them."""

    def __init__(self, *batches: Any) -> None:
        self._batches: Iterator[Any] = iter(batches)

    def next_batch(self) -> Any:
        """The next one, if there is."""
        return next(self._batches, None)


def test_the_log_is_what_was_meant_by_a_tagged_batch() -> None:
    """Its own records are not given out, those before it and behind it are, all in order."""
    consumer: Any = SimpleNamespace(_fetcher=SimpleNamespace(PartitionRecords=Plain))
    tagged = Tagged({7: [(0, b"a"), (1, UNREAD)]})
    tagged.watch(consumer)
    batches = [
        SimpleNamespace(magic=2, first_timestamp=tag, base_offset=base, next_offset=base + 2, max_timestamp=5)
        for base, tag in ((0, 1), (2, 7), (4, 2))
    ]
    consumer._fetcher.PartitionRecords()._unpack_records(TP, Batches(*batches, batches[1]))
    given = list[object]()
    for offset in range(6):
        given += tagged.before(TP, offset)
        if not 2 <= offset < 4:
            assert not tagged.holds(TP, offset) or offset < 2
            given.append(offset)
        else:
            assert tagged.holds(TP, offset)
    assert given == [0, 1, Record(*TP, 2, 5, b"a"), Record(*TP, 3, 5, None, unread=True), 4, 5]


class Plain:
    """In place of kafka-python's: reads all batches of a fetch."""

    def _unpack_records(self, _tp: TopicPartition, records: Any) -> None:
        while records.next_batch() is not None:
            pass


def test_the_same_seed_makes_the_same_batch() -> None:
    """Or a run could not be repeated."""
    once, again = (raw(Random(3), *TP, 5, lambda at_ms: {"at": at_ms}) for _ in range(2))
    assert once == again
    assert len(TRICKS) > 10
