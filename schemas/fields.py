"""The rules of an event's fields as data, for engines that check them without msgspec."""

from dataclasses import dataclass
from enum import IntEnum
from math import inf, nextafter
from typing import Any, cast, get_args, get_type_hints

import msgspec
from msgspec import inspect

from schemas.event import Event, Instant

# integers without a bound of their own: what fits a signed 64-bit word with room for arithmetic
LEAST, MOST = -(2**62), 2**62


class Kind(IntEnum):
    """What a field holds. A field of a kind that is not told here is OPAQUE: take it, but only by msgspec."""

    TEXT = 0
    LITERAL = 1
    INTEGER = 2
    NUMBER = 3
    INSTANT = 4
    FLAG = 5
    OPAQUE = 6


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One field. Bounds are inclusive; those of a text are of its length in code points.

    `default` is what an absent field counts as, None where that is nothing; null counts as nothing.
    """

    name: str
    kind: Kind
    required: bool
    nullable: bool
    default: str | int | float | None = None
    low: int | float = LEAST
    high: int | float = MOST
    choices: tuple[str, ...] = ()


def field_rules(event: type[Event]) -> tuple[FieldRule, ...]:
    """The rules of each field of an event, in its order."""
    hints = get_type_hints(event, include_extras=True)
    info = cast("inspect.StructType", inspect.type_info(event))
    return tuple(_rule(field, hints[field.name]) for field in info.fields)


def _rule(field: inspect.Field, hint: Any) -> FieldRule:
    members = [
        _bare(t) for t in (field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,))
    ]
    values = [t for t in members if not isinstance(t, inspect.NoneType)]
    kind, low, high, choices = _one(values[0]) if len(values) == 1 else (Kind.OPAQUE, 0, 0, ())
    if kind is Kind.INTEGER and Instant in (hint, *get_args(hint)):
        kind = Kind.INSTANT
    default = None if field.default is msgspec.NODEFAULT else field.default
    if field.default_factory is not msgspec.NODEFAULT or not isinstance(default, str | int | float | None):
        kind = Kind.OPAQUE
        default = None
    nullable = len(values) < len(members)
    return FieldRule(field.encode_name, kind, field.required, nullable, default, low, high, choices)


def _bare(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _one(kind: inspect.Type) -> tuple[Kind, int | float, int | float, tuple[str, ...]]:
    match kind:
        case inspect.StrType(pattern=None, min_length=low, max_length=high):
            return Kind.TEXT, low or 0, MOST if high is None else high, ()
        case inspect.LiteralType(values=values) if all(isinstance(v, str) for v in values):
            return Kind.LITERAL, 0, 0, tuple(map(str, values))
        case inspect.IntType(multiple_of=None):
            low = LEAST if kind.ge is None else kind.ge
            high = MOST if kind.le is None else kind.le
            low = low if kind.gt is None else max(low, kind.gt + 1)
            return Kind.INTEGER, low, high if kind.lt is None else min(high, kind.lt - 1), ()
        case inspect.FloatType(multiple_of=None):
            least = -inf if kind.ge is None else kind.ge
            most = inf if kind.le is None else kind.le
            least = least if kind.gt is None else max(least, nextafter(kind.gt, inf))
            return Kind.NUMBER, least, most if kind.lt is None else min(most, nextafter(kind.lt, -inf)), ()
        case inspect.BoolType():
            return Kind.FLAG, 0, 1, ()
    return Kind.OPAQUE, 0, 0, ()
