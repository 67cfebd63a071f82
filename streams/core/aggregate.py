"""Totals of a window: what the measures of a spec add for each event.

Events are kept with their total until it is read, or until some have gathered: adding many at once costs a
third of adding each as it comes.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from operator import attrgetter
from typing import Any

from schemas.event import Event
from streams.core.parts import Held, columns_of
from streams.measures import After, Condition, Elapsed, Has, Is, Measure, NotAfter, Thousandths, Value, Whole
from streams.spec import StreamSpec

Key = tuple[str | None, ...]
Test = Callable[[Event], bool]
# what a measure takes of events, with those left out that it takes nothing of
Taker = Callable[[list[Event]], list[Any]]
# puts values into what a part holds
Adder = Callable[[Held, list[Any]], Held]

GATHERED = 64


class Total:
    """The running total of one row: `events`, what each part holds, and events not yet added."""

    __slots__ = ("events", "gathered", "held", "offset", "waiting")

    def __init__(self, held: list[Held]) -> None:
        self.events = 0
        self.held = held
        self.gathered: list[Event] = []
        self.offset = 0
        self.waiting = False


class Plan:
    """How one stream's events are added up; built once for each partition from the stream's spec."""

    __slots__ = ("_nothing", "_steps", "key_of")

    def __init__(self, spec: StreamSpec) -> None:
        self._nothing = [part.form.nothing for part in spec.parts]
        places = count()
        # of each measure what it takes, and where its parts add that
        self._steps: list[tuple[Taker, list[tuple[int, Adder]]]] = [
            (_taker(measure), [(next(places), part.form.add) for part in measure.parts])
            for measure in spec.measures
        ]
        self.key_of = _key_of(spec.dimensions)

    def new_total(self) -> Total:
        """A total of no events."""
        return Total([new() for new in self._nothing])

    def gather(self, total: Total) -> None:
        """Add the events that have gathered."""
        events, total.gathered = total.gathered, []
        total.events += len(events)
        held = total.held
        for take, adders in self._steps:
            if values := take(events):
                for place, add in adders:
                    held[place] = add(held[place], values)

    def events(self, total: Total) -> int:
        """How many events it is the total of."""
        return total.events + len(total.gathered)

    def columns(self, total: Total) -> Iterator[object]:
        """The total in the order of the spec's columns, `events` first."""
        self.gather(total)
        yield total.events
        for held in total.held:
            yield from columns_of(held)


def _key_of(dimensions: tuple[str, ...]) -> Callable[[Event], Key]:
    if len(dimensions) > 1:
        return attrgetter(*dimensions)
    (only,) = dimensions
    return lambda event: (getattr(event, only),)


def _taker(measure: Measure) -> Taker:
    tests, values_of = [_test(c) for c in measure.when], _values_of(measure.value)
    if not tests:
        return values_of
    return lambda events: values_of([e for e in events if all(test(e) for test in tests)])


def _values_of(value: Value | None) -> Taker:
    match value:
        case None:
            return lambda events: events
        case Whole(field=field):
            whole = attrgetter(field)
            return lambda events: [number for number in map(whole, events) if number is not None]
        case Thousandths(field=field):
            get = attrgetter(field)
            return lambda events: [
                _in_thousandths(number) for number in map(get, events) if number is not None
            ]
        case Elapsed(since=since, until=until):
            both = attrgetter(since, until)
            return lambda events: [
                max(0, b - a) for a, b in map(both, events) if a is not None and b is not None
            ]


@lru_cache(maxsize=1 << 16)
def _in_thousandths(number: float) -> int:
    return round(number * 1000)


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
