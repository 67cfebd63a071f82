"""A stream as a declaration: its event, its topic, its dimensions and what is measured of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from schemas.event import Event
from streams.core.parts import Part
from streams.measures import Measure, fields_of


class SpecError(ValueError):
    """A stream definition that can't work; names the stream, the part and the field."""


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
    def parts(self) -> tuple[Part, ...]:
        """The parts of all measures, in order."""
        return tuple(part for measure in self.measures for part in measure.parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a `Row`, in order."""
        measured = (column for part in self.parts for column in part.columns)
        return ("window_start", *self.dimensions, "late_id", "version", "events", *measured)

    def _fields_used(self) -> Iterator[tuple[str, str]]:
        yield "key", self.key
        for d in self.dimensions:
            yield "dimensions", d
        for m in self.measures:
            for name in fields_of(m):
                yield f"measure {m.name}", name
