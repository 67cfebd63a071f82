"""Which streams fold.c can fold."""

import json
from collections.abc import Callable, Iterator, Sequence

from schemas.event import Event
from schemas.fields import FieldRule, Kind
from streams.measures import (
    After,
    Condition,
    Elapsed,
    Has,
    Is,
    NotAfter,
    Thousandths,
    Value,
    Whole,
    fields_of,
)
from streams.spec import StreamSpec

# fields are bits of one word; numbers in thousandths must be exact in a double
MOST_FIELDS, MOST_MEASURED, LONGEST_TEXT = 63, 2**52 // 1000, 8192
SHORT_TEXT, WHOLE = f"a text of 1 to {LONGEST_TEXT} characters", "a time or a bounded whole number"


class Unsupported(ValueError):
    """The compiled fold can't fold this stream; says why."""


def check(spec: StreamSpec, fields: Sequence[FieldRule]) -> None:
    """Raises Unsupported when the stream needs what fold.c does not do."""
    if len(fields) > MOST_FIELDS:
        raise Unsupported(f"stream {spec.name}: more than {MOST_FIELDS} fields")
    if spec.event.check is not Event.check:
        raise Unsupported(f"stream {spec.name}: {spec.event.__name__} has a check of its own")
    for text in _told_to_c(spec, fields):
        if "\0" in text or not _can_be_sent(text) or len(text) > LONGEST_TEXT:
            raise Unsupported(f"stream {spec.name}: {text[:40]!a} is no text that fold.c can be told")
    rule_of = {rule.name: rule for rule in fields}
    for name, whether, what in _needs(spec):
        if not whether(rule_of[name]):
            raise Unsupported(f"stream {spec.name}: the field {name} must be {what}")


def _told_to_c(spec: StreamSpec, fields: Sequence[FieldRule]) -> Iterator[str]:
    """Texts of a definition that events are compared with, or have without saying so."""
    yield from (rule.default for rule in fields if isinstance(rule.default, str))
    conditions = (c for measure in spec.measures for c in measure.when)
    yield from (c.value for c in conditions if isinstance(c, Is))


def _can_be_sent(text: str) -> bool:
    """Whether UTF-8 has it: half of a surrogate pair is in no message."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def stands_as_it_is(text: str) -> bool:
    """Whether JSON's plainest way to write a text is its own bytes; any other way is Python's to read."""
    return _can_be_sent(text) and json.dumps(text, ensure_ascii=False) == f'"{text}"'


Need = tuple[str, Callable[[FieldRule], bool], str]


def _needs(spec: StreamSpec) -> Iterator[Need]:
    """(field, test, what the test asks for) for each use of a field."""
    yield "event_id", _is_text, SHORT_TEXT
    yield "occurred_at", _is_instant, "an Instant"
    for name in (spec.key, *spec.dimensions):
        yield name, _is_text, SHORT_TEXT
    for order in spec.event.orders:
        yield order.first, _is_whole, WHOLE
        yield order.last, _is_whole, WHOLE
    for measure in spec.measures:
        yield from _needs_of_value(measure.value)
        for condition in measure.when:
            yield from _needs_of(condition)


def _needs_of_value(value: Value | None) -> Iterator[Need]:
    match value:
        case Whole(field=name):
            yield name, _is_whole, WHOLE
        case Thousandths(field=name):
            yield name, _is_measurable, f"a number from 0 to at most {MOST_MEASURED}"
        case Elapsed(since=since, until=until):
            yield since, _is_whole, WHOLE
            yield until, _is_whole, WHOLE


def _needs_of(condition: Condition) -> Iterator[Need]:
    match condition:
        case Is(field=name):
            yield name, _is_text, SHORT_TEXT
        case Has(field=name):
            yield name, lambda rule: rule.kind is not Kind.OPAQUE, "of a plain type"
        case NotAfter(field=name, limit=limit) | After(field=name, limit=limit):
            yield name, _is_whole, WHOLE
            yield limit, _is_whole, WHOLE


def _is_instant(rule: FieldRule) -> bool:
    return rule.kind is Kind.INSTANT


def _is_text(rule: FieldRule) -> bool:
    if rule.kind is Kind.TEXT:
        return rule.low >= 1 and rule.high <= LONGEST_TEXT and rule.default != ""
    return rule.kind is Kind.LITERAL and all(0 < len(c) <= LONGEST_TEXT for c in rule.choices)


def _is_whole(rule: FieldRule) -> bool:
    return rule.kind in (Kind.INTEGER, Kind.INSTANT) and max(-rule.low, rule.high) < 2**60


def _is_measurable(rule: FieldRule) -> bool:
    return rule.kind in (Kind.INTEGER, Kind.NUMBER) and rule.low >= 0 and rule.high <= MOST_MEASURED


def used_fields(spec: StreamSpec) -> frozenset[str]:
    """The fields of an event that its fold depends on."""
    names = {"event_id", "occurred_at", spec.key, *spec.dimensions}
    for measure in spec.measures:
        names.update(fields_of(measure))
    return frozenset(names)
