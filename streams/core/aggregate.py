"""Totals of a window: what the measures of a spec add for each event.

Every total merges: by addition, a maximum by the greater. Events are kept with their total until it is
read, or until some have gathered: adding many at once costs a third of adding each as it comes.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any

from schemas.event import Event
from streams.core.histogram import bucket
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
)

Key = tuple[str | None, ...]
Test = Callable[[Event], bool]
# adds events to a total's values in place; the values are ints and histograms
Adder = Callable[[list[Any], list[Event]], None]

GATHERED = 64


class Total:
    """The running total of one row: `values` in the order of the plan's places, and events not yet added."""

    __slots__ = ("gathered", "offset", "values", "waiting")

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.gathered: list[Event] = []
        self.offset = 0
        self.waiting = False


class Plan:
    """How one stream's events are added up; built once for each partition from the stream's spec."""

    __slots__ = ("_adders", "_empty", "key_of")

    def __init__(self, spec: StreamSpec) -> None:
        self._adders: list[Adder] = []
        self._empty: list[int | None] = [0]
        for measure in spec.measures:
            self._adders.append(_adder(measure, at=len(self._empty)))
            self._empty += [0, 0, 0, None] if isinstance(measure, Distribution) else [0]
        self.key_of = _key_of(spec.dimensions)

    def new_total(self) -> Total:
        """A total of no events."""
        return Total([{} if place is None else place for place in self._empty])

    def gather(self, total: Total) -> None:
        """Add the events that have gathered."""
        events, total.gathered = total.gathered, []
        total.values[0] += len(events)
        for add in self._adders:
            add(total.values, events)

    def events(self, total: Total) -> int:
        """How many events it is the total of."""
        return int(total.values[0]) + len(total.gathered)

    def columns(self, total: Total) -> Iterator[object]:
        """The total in the order of the spec's columns, `events` first."""
        self.gather(total)
        for value in total.values:
            if isinstance(value, dict):
                buckets = sorted(value)
                yield buckets
                yield [value[b] for b in buckets]
            else:
                yield value


def _key_of(dimensions: tuple[str, ...]) -> Callable[[Event], Key]:
    if len(dimensions) > 1:
        return attrgetter(*dimensions)
    (only,) = dimensions
    return lambda event: (getattr(event, only),)


def _adder(measure: Measure, at: int) -> Adder:
    match measure:
        case Sum():
            return _sum(measure, at)
        case Count():
            return _count(measure, at)
        case Distribution():
            return _distribution(measure, at)


def _sum(measure: Sum, at: int) -> Adder:
    value_of = attrgetter(measure.of)

    def add(values: list[Any], events: list[Event]) -> None:
        values[at] += sum(filter(None, map(value_of, events)))

    return add


def _count(measure: Count, at: int) -> Adder:
    tests = [_test(c) for c in measure.when]

    def add(values: list[Any], events: list[Event]) -> None:
        values[at] += len(_meeting(events, tests))

    return add


def _distribution(measure: Distribution, at: int) -> Adder:
    tests = [_test(c) for c in measure.when]
    values_of = _elapsed(measure.of) if isinstance(measure.of, Elapsed) else _thousandths(measure.of.field)

    def add(values: list[Any], events: list[Event]) -> None:
        measured = values_of(_meeting(events, tests))
        if not measured:
            return
        values[at] += len(measured)
        values[at + 1] += sum(measured)
        values[at + 2] = max(values[at + 2], *measured)
        histogram = values[at + 3]
        for b in map(bucket, measured):
            histogram[b] = histogram.get(b, 0) + 1

    return add


def _thousandths(field: str) -> Callable[[Iterable[Event]], list[int]]:
    get = attrgetter(field)
    return lambda events: [_in_thousandths(number) for number in map(get, events) if number is not None]


@lru_cache(maxsize=1 << 16)
def _in_thousandths(number: float) -> int:
    return round(number * 1000)


def _elapsed(of: Elapsed) -> Callable[[Iterable[Event]], list[int]]:
    both = attrgetter(of.since, of.until)
    return lambda events: [
        max(0, until - since) for since, until in map(both, events) if since is not None and until is not None
    ]


def _meeting(events: list[Event], tests: list[Test]) -> list[Event]:
    return [e for e in events if all(test(e) for test in tests)] if tests else events


def _test(condition: Condition) -> Test:
    first = attrgetter(condition.field)
    match condition:
        case Is(value=wanted):
            return lambda event: bool(first(event) == wanted)
        case Has():
            return lambda event: first(event) is not None
        case NotAfter(limit=limit) | After(limit=limit):
            after, second = isinstance(condition, After), attrgetter(limit)

            def compare(event: Event) -> bool:
                a, b = first(event), second(event)
                return a is not None and b is not None and (a > b) is after

            return compare
