"""A stream's definition as the tables that fold.c reads; the ctypes structures mirror those there."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_uint64
from typing import Any

from schemas.event import Event
from schemas.fields import FieldRule, Kind, field_rules
from streams.core.histogram import REPRESENTATIVES, UPPER_BOUNDS
from streams.core.rules import Rules
from streams.spec import (
    After,
    Condition,
    Count,
    Distribution,
    Elapsed,
    Has,
    Is,
    Measure,
    NotAfter,
    StreamSpec,
    Sum,
    Thousandths,
)

REQUIRED, NULLABLE, DEFAULT, MEASURED = 1, 2, 4, 8
COUNT, SUM, THOUSANDTHS, ELAPSED = range(4)
IS, HAS, NOT_AFTER, AFTER = range(4)
# fields are bits of one word; numbers in thousandths must be exact in a double
MOST_FIELDS, MOST_MEASURED, LONGEST_TEXT = 63, 2**52 // 1000, 8192
SHORT_TEXT, WHOLE = f"a text of 1 to {LONGEST_TEXT} characters", "a time or a bounded whole number"


class Unsupported(ValueError):
    """The compiled fold can't fold this stream; says why."""


class FieldTable(Structure):
    """One field and its rule."""

    _fields_ = (
        ("name", c_char_p), ("values", c_char_p), ("default_text", c_char_p), ("default_number", c_int64),
        ("low", c_int64), ("high", c_int64), ("real_low", c_double), ("real_high", c_double),
        ("kind", c_int32), ("flags", c_int32),
    )  # fmt: skip


class ConditionTable(Structure):
    """One condition of a measure."""

    _fields_ = (("text", c_char_p), ("kind", c_int32), ("field", c_int32), ("other", c_int32))


class MeasureTable(Structure):
    """One measure; its conditions follow those of the measure before it."""

    _fields_ = (
        ("scale", c_int64), ("kind", c_int32), ("field", c_int32), ("other", c_int32),
        ("conditions", c_int32),
    )  # fmt: skip


class StreamTable(Structure):
    """All of one stream, with the rules of time."""

    _fields_ = (
        ("fields", POINTER(FieldTable)), ("conditions", POINTER(ConditionTable)),
        ("measures", POINTER(MeasureTable)), ("dimensions", POINTER(c_int32)), ("orders", POINTER(c_int32)),
        ("bounds", POINTER(c_int64)), ("representatives", POINTER(c_int64)),
        ("pane_ms", c_int64), ("disorder_ms", c_int64), ("skew_ms", c_int64), ("bundle_events", c_int64),
        ("seed", c_uint64),
        ("n_fields", c_int32), ("n_conditions", c_int32), ("n_measures", c_int32), ("n_dimensions", c_int32),
        ("n_orders", c_int32), ("n_bounds", c_int32),
        ("id_field", c_int32), ("time_field", c_int32), ("dedupe", c_int32),
    )  # fmt: skip


def stream_table(spec: StreamSpec, rules: Rules) -> StreamTable:
    """The tables of a stream; raises Unsupported. The caller keeps the result until the state is made."""
    fields = field_rules(spec.event)
    check(spec, fields)
    at = {rule.name: i for i, rule in enumerate(fields)}
    measured = {field for m in spec.measures for field in _numbers_of(m)}
    conditions = [_condition(c, at) for m in spec.measures for c in _conditions_of(m)]
    orders = [at[name] for order in spec.event.orders for name in (order.first, order.last)]
    return StreamTable(
        fields=_array(FieldTable, [_field(rule, rule.name in measured) for rule in fields]),
        conditions=_array(ConditionTable, conditions),
        measures=_array(MeasureTable, [_measure(m, at, fields) for m in spec.measures]),
        dimensions=_array(c_int32, [at[d] for d in spec.dimensions]),
        orders=_array(c_int32, orders),
        bounds=_array(c_int64, UPPER_BOUNDS),
        representatives=_array(c_int64, REPRESENTATIVES),
        pane_ms=rules.pane_ms, disorder_ms=rules.disorder_ms, skew_ms=rules.skew_ms,
        bundle_events=rules.limits.bundle_events, seed=int.from_bytes(os.urandom(8)),
        n_fields=len(fields), n_conditions=len(conditions), n_measures=len(spec.measures),
        n_dimensions=len(spec.dimensions), n_orders=len(orders) // 2, n_bounds=len(UPPER_BOUNDS),
        id_field=at["event_id"], time_field=at["occurred_at"], dedupe=spec.dedupe,
    )  # fmt: skip


def check(spec: StreamSpec, fields: Sequence[FieldRule]) -> None:
    """Raises Unsupported when the stream needs what fold.c does not do."""
    if len(fields) > MOST_FIELDS:
        raise Unsupported(f"stream {spec.name}: more than {MOST_FIELDS} fields")
    if spec.event.check is not Event.check:
        raise Unsupported(f"stream {spec.name}: {spec.event.__name__} has a check of its own")
    for text in _told_to_c(spec, fields):
        if "\0" in text or not _can_be_sent(text) or len(text) > LONGEST_TEXT:
            raise Unsupported(f"stream {spec.name}: {text[:40]!a} is no text that fold.c can be told")
    for rule in fields:
        if not _stands_as_it_is(rule.name):
            raise Unsupported(f"stream {spec.name}: in JSON the name {rule.name!a} has escapes")
    rule_of = {rule.name: rule for rule in fields}
    for name, whether, what in _needs(spec):
        if not whether(rule_of[name]):
            raise Unsupported(f"stream {spec.name}: the field {name} must be {what}")


def _told_to_c(spec: StreamSpec, fields: Sequence[FieldRule]) -> Iterator[str]:
    """Texts of a definition that events are compared with, or have without saying so."""
    yield from (rule.default for rule in fields if isinstance(rule.default, str))
    conditions = (c for measure in spec.measures for c in _conditions_of(measure))
    yield from (c.value for c in conditions if isinstance(c, Is))


def _can_be_sent(text: str) -> bool:
    """Whether UTF-8 has it: half of a surrogate pair is in no message."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _stands_as_it_is(text: str) -> bool:
    """Whether JSON's plainest way to write a text is its own bytes; any other way is Python's to read."""
    return _can_be_sent(text) and json.dumps(text, ensure_ascii=False) == f'"{text}"'


Need = tuple[str, Callable[[FieldRule], bool], str]


def _needs(spec: StreamSpec) -> Iterator[Need]:
    """(field, test, what the test asks for) for each use of a field."""
    yield "event_id", _is_text, SHORT_TEXT
    yield "occurred_at", _is_instant, "an Instant"
    for name in spec.dimensions:
        yield name, _is_text, SHORT_TEXT
    for order in spec.event.orders:
        yield order.first, _is_whole, WHOLE
        yield order.last, _is_whole, WHOLE
    for measure in spec.measures:
        match measure:
            case Sum(of=of):
                yield of, _is_whole, WHOLE
            case Distribution(of=Elapsed(since=since, until=until)):
                yield since, _is_whole, WHOLE
                yield until, _is_whole, WHOLE
        for name in _numbers_of(measure):
            yield name, _is_measurable, f"a number from 0 to at most {MOST_MEASURED}"
        for condition in _conditions_of(measure):
            yield from _needs_of(condition)


def _needs_of(condition: Condition) -> Iterator[Need]:
    match condition:
        case Is(field=name):
            yield name, _is_text, SHORT_TEXT
        case Has(field=name):
            yield name, lambda rule: rule.kind is not Kind.OPAQUE, "of a plain type"
        case NotAfter(field=name, limit=limit) | After(field=name, limit=limit):
            yield name, _is_whole, WHOLE
            yield limit, _is_whole, WHOLE


def used_fields(spec: StreamSpec) -> frozenset[str]:
    """The fields of an event that its fold depends on, beside its id."""
    names = {"occurred_at", *spec.dimensions}
    for measure in spec.measures:
        names.update(_fields_of(measure))
    return frozenset(names)


def _fields_of(measure: Measure) -> Iterator[str]:
    match measure:
        case Sum(of=of):
            yield of
        case Distribution(of=Elapsed(since=since, until=until)):
            yield from (since, until)
    yield from _numbers_of(measure)
    for condition in _conditions_of(measure):
        yield condition.field
        if isinstance(condition, NotAfter | After):
            yield condition.limit


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


def _numbers_of(measure: Measure) -> tuple[str, ...]:
    """The field whose thousandths a measure takes."""
    match measure:
        case Distribution(of=Thousandths(field=field)):
            return (field,)
    return ()


def _conditions_of(measure: Measure) -> tuple[Condition, ...]:
    return () if isinstance(measure, Sum) else measure.when


def _field(rule: FieldRule, measured: bool) -> FieldTable:
    number, text = 0, None
    if isinstance(rule.default, str):
        text = rule.default.encode()
    elif rule.default is not None:
        number = round(rule.default * 1000) if rule.kind is Kind.NUMBER else int(rule.default)
    real, choices = rule.kind is Kind.NUMBER, [c for c in rule.choices if _stands_as_it_is(c)]
    high = max(map(len, rule.choices), default=0) if rule.kind is Kind.LITERAL else rule.high
    return FieldTable(
        name=rule.name.encode(), values="".join(f"{c}\n" for c in choices).encode(), default_text=text,
        default_number=number, low=0 if real else int(rule.low), high=0 if real else int(high),
        real_low=rule.low, real_high=rule.high, kind=rule.kind,
        flags=REQUIRED * rule.required | NULLABLE * rule.nullable | DEFAULT * (rule.default is not None)
        | MEASURED * measured,
    )  # fmt: skip


def _condition(condition: Condition, at: dict[str, int]) -> ConditionTable:
    field = at[condition.field]
    match condition:
        case Is(value=value):
            return ConditionTable(text=value.encode(), kind=IS, field=field)
        case Has():
            return ConditionTable(kind=HAS, field=field)
        case NotAfter(limit=limit) | After(limit=limit):
            kind = AFTER if isinstance(condition, After) else NOT_AFTER
            return ConditionTable(kind=kind, field=field, other=at[limit])


def _measure(measure: Measure, at: dict[str, int], fields: Sequence[FieldRule]) -> MeasureTable:
    conditions = len(_conditions_of(measure))
    match measure:
        case Count():
            return MeasureTable(kind=COUNT, conditions=conditions)
        case Sum(of=of):
            return MeasureTable(kind=SUM, field=at[of])
        case Distribution(of=Elapsed(since=since, until=until)):
            return MeasureTable(kind=ELAPSED, field=at[since], other=at[until], conditions=conditions)
        case Distribution():
            field = at[_numbers_of(measure)[0]]
            # fold.c holds a NUMBER in thousandths already
            scale = 1 if fields[field].kind is Kind.NUMBER else 1000
            return MeasureTable(scale=scale, kind=THOUSANDTHS, field=field, conditions=conditions)


def _array(kind: Any, items: Sequence[Any]) -> Any:
    return (kind * max(1, len(items)))(*items)
