"""The careful reading of one JSON object: slower than the codec's hot path, but it says what is wrong.

It also reads what the hot path can't: times written as text.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, UnsetType

from schemas.errors import Refused, explain
from schemas.event import END_MS, MIN_MS, Event, Forbidden, Instant, epoch_ms

E = TypeVar("E", bound=Event)

FAILURES = (msgspec.MsgspecError, ValueError, TypeError)
"""What decoders raise: broken or invalid JSON; bad UTF-8 or a refusal; no bytes at all."""

_Moment = int | Annotated[datetime, Meta(tz=True)]
# msgspec rounds digits beyond the microsecond: cut them, or the last event of a window falls into the next
_NANOSECONDS = re.compile(rb"(:\d\d\.\d{6})\d+")

_BYTE = re.compile(r"\(byte (\d+)\)$")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
# the field that broken bytes stand in: its name, then a value that ends there
_VALUE_OF = re.compile(rb'"(\w+)"\s*:\s*(?:"(?:[^"\\]|\\.)*"?|[^\s",{}\[\]]*)$', re.ASCII)
_NEAR = 200


class EventReader(Generic[E]):
    """Reads objects as one kind of event; raises TypeError when its fields are not flat."""

    __slots__ = ("_choices", "_event", "_names", "_texts", "_times", "_wire")

    def __init__(self, event: type[E]) -> None:
        hints = get_type_hints(event, include_extras=True)
        fields = msgspec.structs.fields(event)
        kinds = {f.name: tuple(_kinds(f"{event.__name__}.{f.name}", hints[f.name])) for f in fields}
        self._event = event
        self._names = tuple(f.name for f in fields)
        self._times = tuple(f.name for f in fields if Instant in _members(hints[f.name]))
        self._texts = attrgetter(*(name for name, k in kinds.items() if str in k))
        self._choices = {name: get_args(k[0]) for name, k in kinds.items() if get_origin(k[0]) is Literal}
        self._wire = msgspec.json.Decoder(_twin(event, hints, self._times), dec_hook=forbid).decode

    def read(self, raw: bytes) -> E:
        """The event that one object holds; raises Refused, or RecursionError where it nests too deeply."""
        try:
            raw.decode()
            wire = self._wire(raw)
            timed = self._wire(_NANOSECONDS.sub(rb"\1", raw)) if _NANOSECONDS.search(raw) else wire
        except FAILURES as error:
            raise self._refused(error, raw) from None
        values = msgspec.structs.asdict(wire)
        for name in self._times:
            if (moment := getattr(timed, name)) is not None:
                values[name] = _milliseconds(name, moment)
        event = self._event(**values)
        if not self.printable(event):
            raise self._unprintable(event)
        event.check()
        return event

    def printable(self, event: E) -> bool:
        """Whether all texts of an event are printable."""
        return "".join(filter(None, self._texts(event))).isprintable()

    def _refused(self, error: Exception, raw: bytes) -> Refused:
        refused = explain(error)
        if broken := _broken_at(error, refused.reason, raw):
            position, reason = broken
            return Refused(self._field_at(raw, position), reason)
        field, reason = refused.field, refused.reason
        if field in self._choices and reason.startswith("invalid enum value"):
            choices = ", ".join(map(str, self._choices[field]))
            return Refused(
                field, f"must be one of {choices}, not {reason.removeprefix('invalid enum value ')}"
            )
        return refused

    def _field_at(self, raw: bytes, position: int) -> str:
        """The name of the field whose value stands at a byte, '' where none of ours does."""
        found = _VALUE_OF.search(raw[max(0, position - _NEAR) : position])
        name = found[1].decode() if found else ""
        return name if name in self._names else ""

    def _unprintable(self, event: E) -> Refused:
        for name in self._names:
            text = getattr(event, name)
            if isinstance(text, str) and not text.isprintable():
                return Refused(name, f"has characters that can't be printed: {text!a}")
        raise AssertionError("an event without unprintable texts")


def _broken_at(error: Exception, reason: str, raw: bytes) -> tuple[int, str] | None:
    """The byte where a message is no JSON, and why; None where it is, but is refused."""
    if isinstance(error, msgspec.ValidationError):
        return None
    if isinstance(error, msgspec.DecodeError) and (lone := _LONE_SURROGATE.search(raw)):
        return lone.start(), f"broken JSON: half of a surrogate pair (byte {lone.start()})"
    place = _BYTE.search(reason)
    return int(place[1]) if place else len(raw), reason


def forbid(forbidden: type[Forbidden], _value: object) -> object:
    """The decoders' hook for types of ours, of which only the forbidden ones exist."""
    raise ValueError(forbidden.reason)


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _kinds(where: str, hint: Any) -> Iterator[Any]:
    """The plain types of a field's hint."""
    for member in _members(hint):
        kind = get_args(member)[0] if get_origin(member) is Annotated else member
        plain = kind in (str, int, float, bool, NoneType, UnsetType) or get_origin(kind) is Literal
        if not plain and not (isinstance(kind, type) and issubclass(kind, Forbidden)):
            raise TypeError(f"{where}: events are flat, {kind} can't be the type of a field")
        yield kind


def _twin(event: type[Event], hints: dict[str, Any], times: tuple[str, ...]) -> type[Struct]:
    """The event as messages may write it: times may be text too."""
    fields: list[Any] = []
    for f in msgspec.structs.fields(event):
        hint: Any = hints[f.name]
        if f.name in times:
            hint = _Moment | None if NoneType in _members(hint) else _Moment
        fields.append((f.name, hint) if f.required else (f.name, hint, f.default))
    return msgspec.defstruct(event.__name__, fields, kw_only=True, gc=False)


def _milliseconds(name: str, moment: int | datetime) -> int:
    ms = epoch_ms(moment)
    if ms < MIN_MS:
        raise Refused(name, "before 2000-01-01: the clock was never set, or this is not in milliseconds")
    if ms >= END_MS:
        raise Refused(name, "after 2099-12-31")
    return ms
