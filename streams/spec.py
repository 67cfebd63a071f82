"""A stream as a declaration: its event, its topic, its dimensions and what is measured of it.

Measures are data, not code, so that a definition can be checked before any I/O, and folded by more
than one engine:

    Count("on_time", when=(Is("action", "returned"), Has("due_at"), NotAfter("occurred_at", "due_at")))
    Sum("fee_vnd", of="fee_vnd")
    Distribution("speed", of=Thousandths("speed_kmh"))
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from schemas.event import Event


class SpecError(ValueError):
    """A stream definition that can't work; names the stream, the part and the field."""


@dataclass(frozen=True, slots=True)
class Is:
    """The field has this value."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Has:
    """The field is there."""

    field: str


@dataclass(frozen=True, slots=True)
class NotAfter:
    """Both times are there, and the first is at or before the second."""

    field: str
    limit: str


@dataclass(frozen=True, slots=True)
class After:
    """Both times are there, and the first is after the second."""

    field: str
    limit: str


Condition = Is | Has | NotAfter | After


@dataclass(frozen=True, slots=True)
class Thousandths:
    """A number >= 0 in thousandths of its unit, rounded half to even."""

    field: str


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Milliseconds from one time to another (thousandths of a second); never below 0."""

    since: str
    until: str


@dataclass(frozen=True, slots=True)
class Count:
    """Events that meet every condition: one column, `name`."""

    name: str
    when: tuple[Condition, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of an integer field, where it is there: one column, `name`."""

    name: str
    of: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Count, sum, maximum and a log-bucketed histogram of a value, in thousandths of its unit.

    Columns: `name_count`, `name_sum`, `name_max` (0 when empty), and the arrays `name_buckets`
    (each bucket's representative value, ascending) and `name_weights` (events in it).
    """

    name: str
    of: Thousandths | Elapsed
    when: tuple[Condition, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        n = self.name
        return (f"{n}_count", f"{n}_sum", f"{n}_max", f"{n}_buckets", f"{n}_weights")


Measure = Count | Sum | Distribution


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream of events; checks itself, so that a wrong definition fails before anything runs.

    `key` is the field that keys its Kafka messages; `dimensions` are string fields of the event, an
    absent one counts as ''. `dedupe=False` is for producers that can't send an event twice.
    """

    name: str
    topic: str
    event: type[Event]
    key: str
    table: str
    view: str
    dimensions: tuple[str, ...]
    measures: tuple[Measure, ...] = ()
    dedupe: bool = True

    def __post_init__(self) -> None:
        known = {f.name for f in msgspec.structs.fields(self.event)}
        for part, name in self._fields_used():
            if name not in known:
                raise SpecError(
                    f"stream {self.name}: {part} names the field {name!r},"
                    f" which {self.event.__name__} does not have"
                )
        if len(set(self.columns)) != len(self.columns):
            raise SpecError(f"stream {self.name}: two columns of {self.table} have the same name")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a `Row`, in order."""
        measured = (c for m in self.measures for c in m.columns)
        return ("window_start", *self.dimensions, "late_id", "version", "events", *measured)

    def _fields_used(self) -> Iterator[tuple[str, str]]:
        yield "key", self.key
        for d in self.dimensions:
            yield "dimensions", d
        for m in self.measures:
            for name in _fields_of(m):
                yield f"measure {m.name}", name


def _fields_of(measure: Measure) -> Iterator[str]:
    match measure:
        case Sum(of=of):
            yield of
        case Distribution(of=Thousandths(field=f)):
            yield f
        case Distribution(of=Elapsed(since=since, until=until)):
            yield from (since, until)
    for c in () if isinstance(measure, Sum) else measure.when:
        yield c.field
        if isinstance(c, NotAfter | After):
            yield c.limit
