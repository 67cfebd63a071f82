"""What must be stored, computed in one pass over the log: naive on purpose, sharing nothing with the fold.

Of the project it uses the event schemas alone: which bytes are events is theirs to say. Homes are reckoned by
kafka-python's murmur2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from kafka.partitioner.default import murmur2

from schemas.codec import Bundle, Codec
from schemas.event import Event
from tests.chaos.log import Place, Record
from tests.chaos.readings import READINGS, Sums


class Key(NamedTuple):
    """One stored total: `late` ones are those of events whose window had closed when they came."""

    topic: str
    partition: int
    window_start_s: int
    dimensions: tuple[str, ...]
    late: bool


class Decision(NamedTuple):
    """Homes are reckoned by so many partitions, and strays sent there or not, from an offset of each on."""

    partitions: int
    forward: bool = True
    offsets: tuple[int, ...] = ()

    def since(self, partition: int) -> int:
        return self.offsets[partition] if partition < len(self.offsets) else 0


@dataclass(slots=True)
class Counts:
    """Of one partition. `read` is the number of events in it; `away` those that counted in a foreign one."""

    folded: int = 0
    duplicates: int = 0
    late: int = 0
    dead: int = 0
    strays: int = 0
    away: int = 0

    @property
    def read(self) -> int:
        return self.folded + self.duplicates + self.late + self.dead + self.strays


@dataclass(slots=True)
class _Partition:
    newest_event_ms: int = 0
    newest_append_ms: int = 0
    # up to when everything was closed by a change of homes, of which so many were met
    closed_ms: int = 0
    changes: int = 0
    seen: set[int] = field(default_factory=set)


class Oracle:
    """Feed it a log from its start, each partition in the order of its offsets; times in milliseconds.

    `homes` are the decisions on each topic in their order; without any each event counts where it is.
    """

    def __init__(
        self,
        pane_ms: int,
        disorder_ms: int,
        skew_ms: int,
        homes: Mapping[str, Sequence[Decision]] = MappingProxyType({}),
    ) -> None:
        self._pane_ms, self._disorder_ms, self._skew_ms = pane_ms, disorder_ms, skew_ms
        self._homes = homes
        self._codecs: dict[str, Codec[Any]] = {topic: Codec(r.event) for topic, r in READINGS.items()}
        self._partitions: dict[Place, _Partition] = {}
        self.totals: dict[Key, Sums] = {}
        self.counts: dict[Place, Counts] = {}
        self.dead: set[tuple[str, int, int, int]] = set()
        self.next_offset: dict[Place, int] = {}

    @property
    def events(self) -> int:
        """All events read."""
        return sum(counts.read for counts in self.counts.values())

    @property
    def events_counted(self) -> int:
        """Those of them that are in a window."""
        return sum(counts.folded + counts.late for counts in self.counts.values())

    def feed(self, record: Record) -> None:
        """Account for one message."""
        place = (record.topic, record.partition)
        self.next_offset[place] = record.offset + 1
        counts = self.counts.setdefault(place, Counts())
        if record.unread:
            self._refuse(record, 0, counts)
            return
        decoded = self._codecs[record.topic].decode(record.value)
        if isinstance(decoded, Bundle):
            for refusal in decoded.refusals:
                self._refuse(record, refusal.index, counts)
            for index, event in decoded.events:
                self._count(record, index, event, counts)
        else:
            self._count(record, 0, decoded, counts)

    def _refuse(self, record: Record, index: int, counts: Counts) -> None:
        counts.dead += 1
        self.dead.add((record.topic, record.partition, record.offset, index))

    def _count(self, record: Record, index: int, event: Event, counts: Counts) -> None:
        at_ms, append_ms = event.occurred_at, record.append_ms
        if at_ms > append_ms + self._skew_ms:
            self._refuse(record, index, counts)
            return
        partition = self._partitions.setdefault((record.topic, record.partition), _Partition())
        stray = self._is_stray(record, event, counts, partition)
        start_ms = at_ms - at_ms % self._pane_ms
        watermark_ms = min(partition.newest_event_ms, partition.newest_append_ms) - self._disorder_ms
        late = start_ms + self._pane_ms <= max(watermark_ms, partition.closed_ms)
        partition.newest_event_ms = max(partition.newest_event_ms, at_ms)
        partition.newest_append_ms = max(partition.newest_append_ms, append_ms)
        if stray:
            counts.strays += 1
            return
        # a number of 64 bits for each event: the strings of an hour would not fit
        identity = hash((start_ms, event.event_id))
        if identity in partition.seen:
            counts.duplicates += 1
            return
        partition.seen.add(identity)
        counts.late += late
        counts.folded += not late
        reading = READINGS[record.topic]
        dimensions = tuple(getattr(event, name) or "" for name in reading.dimensions)
        key = Key(record.topic, record.partition, start_ms // 1000, dimensions, late)
        sums = self.totals.get(key)
        if sums is None:
            sums = self.totals[key] = Sums()
        sums.events += 1
        reading.add(event, sums)

    def _is_stray(self, record: Record, event: Event, counts: Counts, partition: _Partition) -> bool:
        """Whether the event is to be sent home; one that counts in a foreign partition is counted as such."""
        decision = self._decision(record, partition)
        if decision is None:
            return False
        key = getattr(event, READINGS[record.topic].key).encode()
        away = (murmur2(key) & 0x7FFFFFFF) % decision.partitions != record.partition
        counts.away += away and not decision.forward
        return away and decision.forward

    def _decision(self, record: Record, partition: _Partition) -> Decision | None:
        """What holds at a record; each change closes all that is open where it begins."""
        decisions = self._homes.get(record.topic, ())
        begun = [d for d in decisions if record.offset >= d.since(record.partition)]
        if not begun:
            return None
        if len(begun) > partition.changes:
            partition.changes = len(begun)
            if any(begun[-1].offsets) and partition.newest_event_ms:
                end_ms = partition.newest_event_ms // self._pane_ms * self._pane_ms + self._pane_ms
                partition.closed_ms = max(partition.closed_ms, end_ms)
        return begun[-1]
