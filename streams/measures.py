"""What is measured of a stream's events: data, not code.

So a definition can be checked before any I/O, and folded by more than one engine:

    Count("on_time", when=(Is("action", "returned"), Has("due_at"), NotAfter("occurred_at", "due_at")))
    Sum("fee_vnd", of="fee_vnd")
    Maximum("fee_max_vnd", of="fee_vnd")
    Distribution("speed", of=Thousandths("speed_kmh"))

Each measure says what `value` it takes of an event (None: the event itself), of which events (`when`), and
which `parts` it keeps of these values. All else follows from the parts (`streams.core.parts`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from streams.core.parts import Part, PartKind


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
class Whole:
    """A whole number as it is."""

    field: str


@dataclass(frozen=True, slots=True)
class Thousandths:
    """A number >= 0 in thousandths of its unit, rounded half to even."""

    field: str


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Milliseconds from one time to another (thousandths of a second); never below 0."""

    since: str
    until: str


Value = Whole | Thousandths | Elapsed


@dataclass(frozen=True, slots=True)
class Count:
    """Events that meet every condition: one column, `name`."""

    name: str
    when: tuple[Condition, ...] = ()

    @property
    def value(self) -> None:
        return None

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part(PartKind.COUNTED, (self.name,)),)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of an integer field, where it is there: one column, `name`."""

    name: str
    of: str
    when: tuple[Condition, ...] = ()

    @property
    def value(self) -> Whole:
        return Whole(self.of)

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part(PartKind.SUMMED, (self.name,)),)


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
    def value(self) -> Thousandths | Elapsed:
        return self.of

    @property
    def parts(self) -> tuple[Part, ...]:
        n = self.name
        return (
            Part(PartKind.COUNTED, (f"{n}_count",)),
            Part(PartKind.SUMMED, (f"{n}_sum",)),
            Part(PartKind.HIGHEST, (f"{n}_max",)),
            Part(PartKind.HISTOGRAM, (f"{n}_buckets", f"{n}_weights")),
        )


@dataclass(frozen=True, slots=True)
class Maximum:
    """The greatest value of an integer field, where it is there: one column, `name`, an Int64.

    Of no value it is the least Int64, which the maximum over any rows passes by; the stream's view shows NULL
    for it. A Nullable column would say so by itself, but costs a mask on disk and on the wire, and whoever
    compares its values has to think of three answers. 0, as the maximum of a Distribution has it, could be a
    value.
    """

    name: str
    of: str
    when: tuple[Condition, ...] = ()

    @property
    def value(self) -> Whole:
        return Whole(self.of)

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part(PartKind.MAXIMUM, (self.name,)),)


@dataclass(frozen=True, slots=True)
class Minimum:
    """The least value of an integer field, as Maximum has the greatest; of no value the greatest Int64."""

    name: str
    of: str
    when: tuple[Condition, ...] = ()

    @property
    def value(self) -> Whole:
        return Whole(self.of)

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part(PartKind.MINIMUM, (self.name,)),)


Measure = Count | Sum | Distribution | Maximum | Minimum


def fields_of(measure: Measure) -> Iterator[str]:
    """The fields of an event that a measure reads; one may come twice."""
    match measure.value:
        case Whole(field=field) | Thousandths(field=field):
            yield field
        case Elapsed(since=since, until=until):
            yield from (since, until)
    for condition in measure.when:
        yield condition.field
        if isinstance(condition, NotAfter | After):
            yield condition.limit
