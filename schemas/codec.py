"""Bytes to events: everything that comes out is valid, and everything else is a refusal.

A message holds one event, or a JSON array of events (a bundle). No bytes make a codec raise. A message
that is one valid event is answered with that event; any other with a `Bundle`, in which each element of
an array is an event or a refusal, and a message that can't be decoded is one refusal with index 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import orjson
from msgspec import Raw

from schemas.elements import has_more_than
from schemas.errors import Refused, explain
from schemas.event import Event
from schemas.reader import FAILURES, EventReader, forbid
from schemas.stack import on_enough_stack

E = TypeVar("E", bound=Event)

MOST_EVENTS = 10_000
"""How many events a message may hold, unless it is set otherwise."""

_BACKSLASH, _DELETE = 0x5C, 0x7F
_ANY_FAILURE = (*FAILURES, RecursionError)
_elements = msgspec.json.Decoder(list[Raw]).decode


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event, or a whole message, that was refused; `index` is its place in the bundle (0 without one)."""

    index: int
    field: str
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Bundle(Generic[E]):
    """What a message held: events with their place in it, and refusals; together one for each element."""

    events: list[tuple[int, E]]
    refusals: list[Refusal]


class Codec(Generic[E]):
    """Decodes and encodes the messages of one kind of event. It has no state: threads may share it.

    `decode(value)` answers for one message (None is a message without a value). A message of more than
    `most_events` events is refused as a whole, before any of them is decoded.
    """

    __slots__ = ("_array", "_checked", "_most_events", "_one", "_reader", "decode")

    decode: Callable[[bytes | None], E | Bundle[E]]

    def __init__(self, event: type[E], most_events: int = MOST_EVENTS) -> None:
        self._reader, self._most_events = EventReader(event), most_events
        self._checked = bool(event.orders) or event.check is not Event.check
        self._one = msgspec.json.Decoder(event, dec_hook=forbid).decode
        array: type[list[E]] = list.__class_getitem__(event)  # type: ignore[assignment]  # made for this event
        self._array = msgspec.json.Decoder(array, dec_hook=forbid).decode
        self.decode = self._hot_path()

    def _hot_path(self) -> Callable[[bytes | None], E | Bundle[E]]:
        """`decode` as a closure, which costs less than a method.

        Texts are not tested one by one: the bytes of a message in plain ASCII without escapes hold no
        character that can't be printed, since JSON itself forbids raw control characters but DEL.
        """
        one, checked, unusual, otherwise = self._one, self._checked, self._unusual, self._otherwise

        def decode(value: Any) -> E | Bundle[E]:
            try:
                event = one(value)
                if checked:
                    event.check()
            except _ANY_FAILURE:
                return otherwise(value)
            if value.isascii() and _BACKSLASH not in value and _DELETE not in value:
                return event
            return unusual(event, value)

        return decode

    def decode_all(self, values: Sequence[bytes | None]) -> list[E | Bundle[E]]:
        """`decode` for each of many messages, at less cost each: most of it in loops of C."""
        answers: list[E | Bundle[E]] = []
        rest = iter(values)
        while len(answers) < len(values):
            try:
                answers.extend(map(self._one, rest))  # type: ignore[arg-type]  # None fails, as it should
            except _ANY_FAILURE:  # what came before the failure has been appended
                answers.append(self._otherwise(values[len(answers)]))
        if self._checked or not _plain(b"".join(filter(None, values))):
            for i, value in enumerate(values):
                answers[i] = self._settled(answers[i], value)
        return answers

    def encode(self, event: E) -> bytes:
        """The event as a message: UTF-8 JSON without what is absent."""
        return orjson.dumps(msgspec.to_builtins(event))

    def _settled(self, answer: E | Bundle[E], value: Any) -> E | Bundle[E]:
        """The final answer for an event that has been decoded but not yet checked."""
        if isinstance(answer, Bundle):
            return answer
        try:
            answer.check()
        except Refused:
            return self._otherwise(value)
        return answer if _plain(value) else self._unusual(answer, value)

    def _unusual(self, event: E, value: bytes) -> E | Bundle[E]:
        """The answer for an event whose message may hold characters that can't be printed."""
        return event if _is_utf8(value) and self._reader.printable(event) else self._otherwise(value)

    def _otherwise(self, value: bytes | None) -> E | Bundle[E]:
        """The answer where the hot path has none: bundles, times as text, refusals."""
        if value is None:
            return _refused(Refused("", "a message without a value (a tombstone)"), b"")
        try:
            return on_enough_stack(self._message, value)
        except Refused as error:
            return _refused(error, value)
        except RecursionError as error:
            return _refused(explain(error), value)

    def _message(self, value: bytes) -> E | Bundle[E]:
        return self._bundle(value) if _is_array(value) else self._reader.read(value)

    def _bundle(self, value: bytes) -> Bundle[E]:
        self._check_number(value)
        try:
            events = self._array(value)
            for event in events if self._checked else ():
                event.check()
            if events and (_plain(value) or (_is_utf8(value) and all(map(self._reader.printable, events)))):
                return Bundle(list(enumerate(events)), [])
        except FAILURES:
            pass  # element by element, then
        return self._element_by_element(value)

    def _check_number(self, value: bytes) -> None:
        """Raises Refused for an array of more events than a message may hold."""
        most = self._most_events
        try:
            too_many = has_more_than(most, value)
        except FAILURES as error:
            raise explain(error) from None
        if too_many:
            reason = f"more than {most:,} events in one message: send fewer, or set SONGLO_BUNDLE_EVENTS"
            raise Refused("", reason)

    def _element_by_element(self, value: bytes) -> Bundle[E]:
        try:
            raws = [bytes(raw) for raw in _elements(value)]
        except FAILURES as error:
            raise explain(error) from None
        if not raws:
            raise Refused("", "an empty array: a bundle holds at least one event")
        bundle: Bundle[E] = Bundle([], [])
        for index, raw in enumerate(raws):
            try:
                bundle.events.append((index, self._element(raw)))
            except Refused as error:
                bundle.refusals.append(Refusal(index, error.field, error.reason, raw))
        return bundle

    def _element(self, raw: bytes) -> E:
        """One event of a bundle; raises Refused."""
        try:
            answer = self._settled(self._one(raw), raw)
        except FAILURES:
            return self._reader.read(raw)
        return self._reader.read(raw) if isinstance(answer, Bundle) else answer


def raw_events(value: bytes) -> list[bytes]:
    """The bytes of each event of a decoded message: of a bundle its elements, else the whole."""
    return [bytes(raw) for raw in on_enough_stack(_elements, value)] if _is_array(value) else [value]


def _is_array(value: bytes) -> bool:
    return value[:1] == b"[" or value.lstrip(b" \t\r\n")[:1] == b"["


def _plain(value: bytes) -> bool:
    return value.isascii() and _BACKSLASH not in value and _DELETE not in value


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refused(error: Refused, raw: bytes) -> Bundle[Any]:
    return Bundle([], [Refusal(0, error.field, error.reason, raw)])
