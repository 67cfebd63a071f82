"""Where an event belongs: murmur2 of its own key, over a number of partitions that is stored.

Whatever their messages' keys were, and whoever sent them, events of one key meet in one partition then, where
repeats are found. The number is not what Kafka says at the moment: partitions may be added, and the decision
has to stay the same.
Source: murmur2 as in org.apache.kafka.common.utils.Utils, and BuiltInPartitioner.partitionForKey.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Homes:
    """How events of one topic find their homes, once and for all until the next `change`.

    `partitions` is the number that homes are reckoned by. `forward` says what becomes of a stray, an event in
    another partition than its home: it is sent home, or counts where it is. All this holds of partition p
    from offset `offsets[p]` on (0 where there is none), whose rows have this `epoch` or a later one.
    `topic_id` is Kafka's own; empty where Kafka has none.
    """

    topic: str
    topic_id: str
    change: int
    partitions: int
    forward: bool
    epoch: int = 0
    offsets: tuple[int, ...] = ()

    def since(self, partition: int) -> int:
        """The first offset of a partition that it holds for."""
        return self.offsets[partition] if partition < len(self.offsets) else 0


def newest(known: Iterable[Homes], topic_id: str) -> Homes | None:
    """What holds now of the topic with this id; None when nothing was decided yet."""
    return max((h for h in known if h.topic_id == topic_id), key=lambda h: h.change, default=None)


def at_offset(known: Sequence[Homes], partition: int, offset: int) -> Homes | None:
    """What held at an offset of a partition, of the decisions on one topic; None before the first."""
    held = (h for h in known if h.since(partition) <= offset)
    return max(held, key=lambda h: h.change, default=None)


def numbers(known: Sequence[Homes], partition: int) -> list[tuple[int, int]]:
    """From which offset on homes are reckoned by how many partitions, the last first; by 0: not at all."""
    starts = sorted({h.since(partition) for h in known}, reverse=True)
    held = ((start, at_offset(known, partition, start)) for start in starts)
    return [(start, h.partitions if h.forward else 0) for start, h in held if h is not None]


def first_epoch(known: Iterable[Homes], topic_id: str, epoch: int) -> int:
    """The lowest epoch of what was read from a log, by the decisions on it and the epoch that it has by now.

    An epoch is raised where a topic was created anew, and by each decision that says from which offsets on it
    holds: that one is on a log that there was before, in the epoch below.
    """
    decided = [h for h in known if h.epoch <= epoch]
    raised = {h.epoch for h in decided if any(h.offsets)}
    if topic_id:
        epoch = min((h.epoch for h in decided), default=epoch)
    # without an id the decisions may be on several logs, each of which began with an epoch of its own
    while epoch in raised:
        epoch -= 1
    return epoch


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 of the bytes, unsigned."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if length & 3:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, 0 <= p < partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
