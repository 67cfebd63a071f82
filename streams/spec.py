"""A stream as a declaration: its event, its topic, its dimensions and what is measured of it.

It checks itself for all that others rely on: the folds, the tables and views, the commands.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import inspect

from schemas.event import Event
from streams.core.parts import LEAST, MOST, Part
from streams.measures import (
    After,
    Condition,
    Elapsed,
    Is,
    Maximum,
    Measure,
    Minimum,
    NotAfter,
    Thousandths,
    Whole,
    fields_of,
)

# by which the views of all streams find theirs
WARD = "ward_code"
# of every table or view, beside the columns of the definition
FIXED = ("window_start", "window_seconds", "partition", "late_id", "version", "events", "late_events")
# names that begin with an underscore are for the queries themselves
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")
# ClickHouse takes these for something else where a column's name stands
RESERVED = frozenset({"all", "distinct", "false", "inf", "nan", "not", "null", "top", "true"})
TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class SpecError(ValueError):
    """A stream definition that can't work; names the stream, what is at fault in it, and what to do."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream of events; raises SpecError when it is wrong, so that nothing runs by it.

    `key` is the field that keys its Kafka messages; `dimensions` are text fields of the event, its ward among
    them, an absent one counts as ''. `dedupe=False` is for producers that can't send an event twice.
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
        wrong = [*_wrong_names(self), *_wrong_fields(self)]
        if wrong:
            raise SpecError(f"stream {self.name}: " + "; ".join(wrong))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of all measures, in order."""
        return tuple(part for measure in self.measures for part in measure.parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a `Row`, in order."""
        measured = (column for part in self.parts for column in part.columns)
        return ("window_start", *self.dimensions, "late_id", "version", "events", *measured)


def _wrong_names(spec: StreamSpec) -> Iterator[str]:
    own = [*spec.dimensions, *(column for part in spec.parts for column in part.columns)]
    parts = (("name", spec.name), ("table", spec.table), ("view", spec.view), *(("column", c) for c in own))
    for part, name in parts:
        if not IDENTIFIER.fullmatch(name):
            yield f"the {part} {name!r} must be at most 64 of a-z, 0-9 and _, the first of them a letter"
    if not TOPIC.fullmatch(spec.topic):
        yield f"the topic {spec.topic!r} must be of letters, digits, '.', '_' and '-', as Kafka has them"
    if spec.table == spec.view:
        yield f"its table and its view are both {spec.table}: choose another name for one"
    yield from _wrong_columns(own)
    for measure, times in Counter(measure.name for measure in spec.measures).items():
        if times > 1:
            yield f"{times} measures are named {measure}: choose another name"


def _wrong_columns(own: Sequence[str]) -> Iterator[str]:
    for column, times in Counter(own).items():
        if times > 1:
            yield f"{times} of its columns are named {column}: choose another name"
        if column in FIXED:
            yield f"the column {column} is one that every stream has: choose another name"
        if column in RESERVED:
            yield f"the column {column} means something else in SQL: choose another name"


def _wrong_fields(spec: StreamSpec) -> Iterator[str]:
    known = {field.name: _kind(field.type) for field in _struct(spec.event).fields}
    if WARD not in spec.dimensions:
        yield f"{WARD} must be among its dimensions: the views of all streams go by it"
    unknown = False
    for part, name in _uses(spec):
        if name not in known:
            unknown = True
            yield f"{part} names the field {name}, which {spec.event.__name__} does not have"
    if unknown:
        return
    for part, name in (("its key", spec.key), *(("its dimension", d) for d in spec.dimensions)):
        if not _is_text(known[name]):
            yield f"{part} {name} must be a text field (a str, or a Literal of them)"
    for measure in spec.measures:
        wrong = [*_wrong_value(measure, known), *(w for c in measure.when for w in _wrong_test(c, known))]
        yield from (f"measure {measure.name}: {reason}" for reason in wrong)


def _uses(spec: StreamSpec) -> Iterator[tuple[str, str]]:
    yield "its key", spec.key
    yield from (("a dimension", name) for name in spec.dimensions)
    yield from ((f"measure {measure.name}", name) for measure in spec.measures for name in fields_of(measure))


Kinds = Mapping[str, inspect.Type | None]


def _wrong_value(measure: Measure, known: Kinds) -> Iterator[str]:
    match measure.value:
        case Whole(field=field) if isinstance(measure, Maximum | Minimum):
            low, high = _bounds(known[field])
            if low is None or high is None or not LEAST < low <= high < MOST:
                yield f"the field {field} must be a whole number with bounds of less than 64 bits"
        case Whole(field=field):
            yield from _unless(_is_whole, (field,), known, "a whole number")
        case Thousandths(field=field):
            low, _ = _bounds(known[field])
            if low is None or low < 0:
                yield f"the field {field} must be a number with a bound of 0 or more below it"
        case Elapsed(since=since, until=until):
            yield from _unless(_is_whole, (since, until), known, "a time or another whole number")


def _wrong_test(condition: Condition, known: Kinds) -> Iterator[str]:
    match condition:
        case Is(field=field, value=value):
            yield from _unless(_is_text, (field,), known, "a text, to be compared with one")
            kind = known[field]
            if isinstance(kind, inspect.LiteralType) and value not in kind.values:
                yield f"the field {field} is never {value!r}: correct the condition"
        case NotAfter(field=field, limit=limit) | After(field=field, limit=limit):
            yield from _unless(_is_whole, (field, limit), known, "a time or another whole number")


def _unless(
    test: Callable[[inspect.Type | None], bool], fields: tuple[str, ...], known: Kinds, what: str
) -> Iterator[str]:
    yield from (f"the field {field} must be {what}" for field in fields if not test(known[field]))


def _struct(event: type[Event]) -> inspect.StructType:
    info = inspect.type_info(event)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{event} is no event")
    return info


def _kind(field: inspect.Type) -> inspect.Type | None:
    """What a field holds when it is there; None where that may be several things."""
    members = field.types if isinstance(field, inspect.UnionType) else (field,)
    bare = [member.type if isinstance(member, inspect.Metadata) else member for member in members]
    there = [member for member in bare if not isinstance(member, inspect.NoneType)]
    return there[0] if len(there) == 1 else None


def _is_text(kind: inspect.Type | None) -> bool:
    if isinstance(kind, inspect.LiteralType):
        return all(isinstance(value, str) for value in kind.values)
    return isinstance(kind, inspect.StrType)


def _is_whole(kind: inspect.Type | None) -> bool:
    return isinstance(kind, inspect.IntType)


def _bounds(kind: inspect.Type | None) -> tuple[float | None, float | None]:
    """The bounds of a number, either None where it has none; of anything else None and None."""
    if not isinstance(kind, inspect.IntType | inspect.FloatType):
        return None, None
    low = kind.ge if kind.gt is None else kind.gt
    return low, kind.le if kind.lt is None else kind.lt
