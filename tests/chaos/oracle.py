"""What must be stored, computed in one pass over the log: naive on purpose, sharing nothing with the fold.

Of the project it uses the event schemas alone: which bytes are events is theirs to say.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.camera import CameraEvent
from schemas.codec import Bundle, Codec
from schemas.event import Event
from schemas.qr import QrReport
from schemas.service import ServiceEvent
from tests.chaos.log import Place, Record


class Key(NamedTuple):
    """One stored total: `late` ones are those of events whose window had closed when they came."""

    topic: str
    partition: int
    window_start_s: int
    dimensions: tuple[str, ...]
    late: bool


@dataclass(slots=True)
class Sums:
    """What a total must be; `values` of distributions are in thousandths, each with how often it occurred.

    `extremes` are the greatest or least values, by name; one that has no value is not there.
    """

    events: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    values: dict[str, Counter[int]] = field(default_factory=dict)
    extremes: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Counts:
    """Of one partition. `read` is the number of events in it."""

    folded: int = 0
    duplicates: int = 0
    late: int = 0
    dead: int = 0

    @property
    def read(self) -> int:
        return self.folded + self.duplicates + self.late + self.dead


@dataclass(frozen=True, slots=True)
class Reading:
    """How the events of one topic add up; written down here a second time, not taken from the streams."""

    event: type[Event]
    table: str
    dimensions: tuple[str, ...]
    add: Callable[[Any, Sums], None]
    sums: tuple[str, ...]
    distributions: tuple[str, ...] = ()
    extremes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Partition:
    newest_event_ms: int = 0
    newest_append_ms: int = 0
    seen: set[int] = field(default_factory=set)


class Oracle:
    """Feed it a log from its start, each partition in the order of its offsets; times in milliseconds."""

    def __init__(self, pane_ms: int, disorder_ms: int, skew_ms: int) -> None:
        self._pane_ms, self._disorder_ms, self._skew_ms = pane_ms, disorder_ms, skew_ms
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
        start_ms = at_ms - at_ms % self._pane_ms
        watermark_ms = min(partition.newest_event_ms, partition.newest_append_ms) - self._disorder_ms
        late = start_ms + self._pane_ms <= watermark_ms
        partition.newest_event_ms = max(partition.newest_event_ms, at_ms)
        partition.newest_append_ms = max(partition.newest_append_ms, append_ms)
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


def _measure(sums: Sums, name: str, value: int) -> None:
    sums.values.setdefault(name, Counter())[value] += 1


def widen(sums: Sums, name: str, value: int) -> None:
    """Let an extreme be at least this value, or at most, as its name has it."""
    further = min if "_min_" in name else max
    sums.extremes[name] = further(sums.extremes.get(name, value), value)


def _add_camera(event: CameraEvent, to: Sums) -> None:
    to.sums["objects"] += event.count
    if event.speed_kmh is not None:
        _measure(to, "speed", round(event.speed_kmh * 1000))


def _add_service(event: ServiceEvent, to: Sums) -> None:
    to.sums["fee_vnd"] += event.fee_vnd or 0
    if event.fee_vnd is not None:
        widen(to, "fee_max_vnd", event.fee_vnd)
    if event.action != "returned":
        return
    if event.due_at is not None:
        to.sums["on_time" if event.occurred_at <= event.due_at else "overdue"] += 1
    if event.submitted_at is not None:
        _measure(to, "duration", event.occurred_at - event.submitted_at)


def _add_qr(event: QrReport, to: Sums) -> None:
    to.sums["succeeded"] += event.succeeded
    to.sums["failed"] += event.failed
    to.sums["amount_vnd"] += event.amount_vnd
    widen(to, "amount_max_vnd", event.amount_vnd)
    widen(to, "amount_min_vnd", event.amount_vnd)


READINGS = {
    "camera.events": Reading(
        CameraEvent,
        "camera_windows",
        ("camera_id", "ward_code", "kind", "object_class", "violation_code", "direction"),
        _add_camera,
        ("objects",),
        ("speed",),
    ),
    "service.transactions": Reading(
        ServiceEvent,
        "service_windows",
        ("office_code", "ward_code", "procedure_code", "channel", "action"),
        _add_service,
        ("fee_vnd", "on_time", "overdue"),
        ("duration",),
        ("fee_max_vnd",),
    ),
    "qr.payments": Reading(
        QrReport,
        "qr_windows",
        ("merchant_id", "merchant_category", "ward_code", "provider"),
        _add_qr,
        ("succeeded", "failed", "amount_vnd"),
        extremes=("amount_max_vnd", "amount_min_vnd"),
    ),
}
