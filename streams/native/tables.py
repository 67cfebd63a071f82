"""A stream's definition as the tables that fold.c reads; the ctypes structures mirror those there."""

import os
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_uint64
from typing import Any

from schemas.fields import FieldRule, Kind, field_rules
from streams.core.histogram import REPRESENTATIVES, UPPER_BOUNDS
from streams.core.rules import Rules
from streams.measures import (
    After,
    Condition,
    Elapsed,
    Has,
    Is,
    Measure,
    NotAfter,
    Thousandths,
    Whole,
)
from streams.native.checks import check, stands_as_it_is
from streams.spec import StreamSpec

REQUIRED, NULLABLE, DEFAULT, MEASURED = 1, 2, 4, 8
EVENT, SCALED, ELAPSED = range(3)
IS, HAS, NOT_AFTER, AFTER = range(4)


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
    """One measure; its conditions and its parts follow those of the measure before it."""

    _fields_ = (
        ("scale", c_int64), ("value", c_int32), ("field", c_int32), ("other", c_int32),
        ("conditions", c_int32), ("parts", c_int32),
    )  # fmt: skip


class StreamTable(Structure):
    """All of one stream, with the rules of time."""

    _fields_ = (
        ("fields", POINTER(FieldTable)), ("conditions", POINTER(ConditionTable)),
        ("measures", POINTER(MeasureTable)), ("parts", POINTER(c_int32)),
        ("dimensions", POINTER(c_int32)), ("orders", POINTER(c_int32)),
        ("bounds", POINTER(c_int64)), ("representatives", POINTER(c_int64)),
        ("pane_ms", c_int64), ("disorder_ms", c_int64), ("skew_ms", c_int64), ("bundle_events", c_int64),
        ("seed", c_uint64),
        ("n_fields", c_int32), ("n_conditions", c_int32), ("n_measures", c_int32), ("n_parts", c_int32),
        ("n_dimensions", c_int32), ("n_orders", c_int32), ("n_bounds", c_int32),
        ("id_field", c_int32), ("time_field", c_int32), ("key_field", c_int32), ("dedupe", c_int32),
    )  # fmt: skip


def stream_table(spec: StreamSpec, rules: Rules) -> StreamTable:
    """The tables of a stream; raises Unsupported. The caller keeps the result until the state is made."""
    fields = field_rules(spec.event)
    check(spec, fields)
    at = {rule.name: i for i, rule in enumerate(fields)}
    measured = {m.value.field for m in spec.measures if isinstance(m.value, Thousandths)}
    conditions = [_condition(c, at) for m in spec.measures for c in m.when]
    orders = [at[name] for order in spec.event.orders for name in (order.first, order.last)]
    return StreamTable(
        fields=_array(FieldTable, [_field(rule, rule.name in measured) for rule in fields]),
        conditions=_array(ConditionTable, conditions),
        measures=_array(MeasureTable, [_measure(m, at, fields) for m in spec.measures]),
        parts=_array(c_int32, [part.kind for part in spec.parts]),
        dimensions=_array(c_int32, [at[d] for d in spec.dimensions]),
        orders=_array(c_int32, orders),
        bounds=_array(c_int64, UPPER_BOUNDS),
        representatives=_array(c_int64, REPRESENTATIVES),
        pane_ms=rules.pane_ms, disorder_ms=rules.disorder_ms, skew_ms=rules.skew_ms,
        bundle_events=rules.limits.bundle_events, seed=int.from_bytes(os.urandom(8)),
        n_fields=len(fields), n_conditions=len(conditions), n_measures=len(spec.measures),
        n_parts=len(spec.parts), n_dimensions=len(spec.dimensions), n_orders=len(orders) // 2,
        n_bounds=len(UPPER_BOUNDS),
        id_field=at["event_id"], time_field=at["occurred_at"], key_field=at[spec.key], dedupe=spec.dedupe,
    )  # fmt: skip


def _field(rule: FieldRule, measured: bool) -> FieldTable:
    number, text = 0, None
    if isinstance(rule.default, str):
        text = rule.default.encode()
    elif rule.default is not None:
        number = round(rule.default * 1000) if rule.kind is Kind.NUMBER else int(rule.default)
    real, choices = rule.kind is Kind.NUMBER, [c for c in rule.choices if stands_as_it_is(c)]
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
    table = MeasureTable(conditions=len(measure.when), parts=len(measure.parts))
    match measure.value:
        case None:
            table.value = EVENT
        case Whole(field=field):
            table.value, table.field, table.scale = SCALED, at[field], 1
        case Thousandths(field=field):
            # fold.c holds a NUMBER in thousandths already
            scale = 1 if fields[at[field]].kind is Kind.NUMBER else 1000
            table.value, table.field, table.scale = SCALED, at[field], scale
        case Elapsed(since=since, until=until):
            table.value, table.field, table.other = ELAPSED, at[since], at[until]
    return table


def _array(kind: Any, items: Sequence[Any]) -> Any:
    return (kind * max(1, len(items)))(*items)
