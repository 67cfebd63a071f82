"""The day as a sequence of messages in the order of sending."""

import heapq
from bisect import bisect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf
from random import Random
from statistics import fmean
from typing import Any, Protocol

import orjson
import xxhash

from infra.demo.simulate.city import City
from infra.demo.simulate.mischief import garbage
from infra.demo.simulate.moment import SimulatedMoment
from infra.demo.simulate.payments import Payments
from infra.demo.simulate.service import ServiceSource
from infra.demo.simulate.traffic import Traffic

_MINUTE_MS = 60_000
_DAY_MINUTES = 1440
_LATE_MS = (180_000, 900_000)
_AGAIN_MS = (0, 300_000)


Share = tuple["Model", float]


class Model(Protocol):
    """One stream's part of the city."""

    stream: str

    def intensity(self, moment: SimulatedMoment) -> float:
        """How much happens at a moment, as a share of the busiest."""

    def event(self, rng: Random, moment: SimulatedMoment) -> dict[str, Any]:
        """One event, without its id and time."""


# the share of each model in the busiest hour
_MODELS: tuple[tuple[Callable[[City, int], Model], float], ...] = (
    (Traffic, 0.80),
    (ServiceSource, 0.05),
    (Payments, 0.15),
)
STREAMS = tuple(model.stream for model in (Traffic, ServiceSource, Payments))
"""The streams that can be simulated."""


class SimulationError(ValueError):
    """What was asked for can't be simulated; names the option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to simulate. The same plan and city give the same messages.

    `rate` is events per second, the mean over the duration, or over a day without one. `disorder_s` is
    how long events take to arrive at most. `duplicates`, `late` and `garbage` are shares of the events,
    0 to 1: sent again within five minutes, sent three to fifteen minutes after they happened, and broken
    messages sent besides.
    `ahead_ms` sets the city's clock forward, not the events' times.
    """

    start_ms: int
    duration_ms: int | None = None
    seed: int = 1
    rate: float = 100.0
    disorder_s: float = 3.0
    duplicates: float = 0.0
    late: float = 0.0
    garbage: float = 0.0
    ahead_ms: int = 0
    streams: Collection[str] = STREAMS

    def __post_init__(self) -> None:
        for name in ("duplicates", "late", "garbage"):
            if not 0 <= getattr(self, name) <= 1:
                raise SimulationError(f"{name} is {getattr(self, name)}: must be a share from 0 to 1")
        if not 0 < self.rate <= 1_000_000:
            raise SimulationError(
                f"rate is {self.rate}: must be more than 0, at most a million events a second"
            )
        if self.disorder_s < 0:
            raise SimulationError(f"disorder is {self.disorder_s}: must be 0 or more seconds")
        unknown = set(self.streams) - set(STREAMS)
        if unknown or not self.streams:
            raise SimulationError(
                f"stream {', '.join(sorted(unknown)) or 'none'}: one of {', '.join(STREAMS)}"
            )


@dataclass(frozen=True, slots=True, order=True)
class Sent:
    """One message and when it is sent; not `valid` where it was made to be refused."""

    send_ms: int
    number: int
    stream: str
    value: bytes
    valid: bool


def simulate(city: City, plan: LoadPlan) -> Iterator[Sent]:
    """The messages in the order of sending, for ever when the plan has no end.

    Arrivals are a Poisson process whose rate follows the models' curves, constant within a minute.
    """
    rng = Random(plan.seed)  # noqa: S311  # a simulation, not a secret
    run = xxhash.xxh32_hexdigest(f"{plan.seed}/{plan.start_ms}".encode())
    models = [(m(city, plan.seed), share) for m, share in _MODELS]
    models = [(m, share) for m, share in models if m.stream in plan.streams]
    total = sum(share for _, share in models)
    shares = [(m, share / total) for m, share in models]
    again: list[Sent] = []
    for number, (at_ms, model) in enumerate(_arrivals(rng, plan, shares), start=1):
        while again and again[0].send_ms <= at_ms:
            yield heapq.heappop(again)
        occurred_ms = at_ms - _delay_ms(rng, plan)
        event = model.event(rng, SimulatedMoment.at(occurred_ms, plan.ahead_ms))
        event |= {"event_id": f"sim-{run}-{number}", "occurred_at": occurred_ms}
        sent = Sent(at_ms, number, model.stream, orjson.dumps(event), True)
        yield sent
        if rng.random() < plan.duplicates:
            heapq.heappush(again, replace(sent, send_ms=at_ms + rng.randrange(*_AGAIN_MS)))
        if rng.random() < plan.garbage:
            yield Sent(at_ms, number, model.stream, garbage(rng, event), False)
    if plan.duration_ms is not None:
        # what should have been sent again after the end is sent at the end
        for sent in sorted(again):
            yield replace(sent, send_ms=min(sent.send_ms, plan.start_ms + plan.duration_ms))


def _arrivals(rng: Random, plan: LoadPlan, models: Sequence[Share]) -> Iterator[tuple[int, Model]]:
    end = inf if plan.duration_ms is None else plan.start_ms + plan.duration_ms
    per_ms = plan.rate / 1000 / _mean_intensity(plan, models)
    at = float(plan.start_ms)
    while at < end:
        minute = int(at) // _MINUTE_MS
        until = min(end, (minute + 1) * _MINUTE_MS)
        bounds = _intensities(plan, models, minute)
        while (at := at + rng.expovariate(per_ms * bounds[-1])) < until:
            yield int(at), models[bisect(bounds, rng.random() * bounds[-1], hi=len(models) - 1)][0]
        # what waits beyond the minute is drawn anew from its end: arrivals have no memory
        at = until


def _intensities(plan: LoadPlan, models: Sequence[Share], minute: int) -> list[float]:
    """What happens in a minute, as running sums over the models; never all zero."""
    moment = SimulatedMoment.at(minute * _MINUTE_MS, plan.ahead_ms)
    return list(accumulate(share * model.intensity(moment) + 1e-9 for model, share in models))


def _mean_intensity(plan: LoadPlan, models: Sequence[Share]) -> float:
    """Over the plan, or over a day where it has no end."""
    first = plan.start_ms // _MINUTE_MS
    minutes = _DAY_MINUTES
    if plan.duration_ms is not None:
        minutes = (plan.start_ms + plan.duration_ms - 1) // _MINUTE_MS - first + 1
    step = max(1, minutes // _DAY_MINUTES)
    return fmean(_intensities(plan, models, m)[-1] for m in range(first, first + max(1, minutes), step))


def _delay_ms(rng: Random, plan: LoadPlan) -> int:
    if rng.random() < plan.late:
        return rng.randrange(*_LATE_MS)
    # most arrive soon, few take as long as they may
    return int(min(rng.expovariate(4.0), 1.0) * plan.disorder_s * 1000)
