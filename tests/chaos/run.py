"""One random run: a stack of its own, workers, traffic and faults for some minutes, and the verdict."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from infra.kafka.access import KafkaFailureError
from infra.stack.stack import Stack
from streams.sink import SinkError
from tests.chaos.hostile import with_raw
from tests.chaos.log import LogUnreadError
from tests.chaos.mayhem import Mayhem
from tests.chaos.nursery import Nursery
from tests.chaos.rig import NotCaughtUpError, Rig, Times
from tests.chaos.traffic import Plan, Traffic
from tests.chaos.verdict import Verdict
from tests.chaos.vitals import Trend, look, trends
from tests.chaos.workers import WorkerGoneError

PARTITIONS = 6
# event times pass so much faster than the clock
SPEED = 20
PAUSE_S = (3.0, 10.0)
# of so many messages one is followed by a batch that no client makes
RAW = 1 / 300
SAMPLES, SAMPLE_S = 30, 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for; `rate` is in messages a second."""

    seed: int
    minutes: float
    workers: int = 3
    rate: float = 500.0


@dataclass(slots=True)
class Report:
    """How a run went. `failure` says why there is no verdict; `healed_s` is how long catching up took."""

    order: Order
    faults: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    unasked: list[str] = field(default_factory=list)
    sent: int = 0
    sent_again: int = 0
    healed_s: float = 0.0
    looks: int = 0
    samples: list[dict[str, float]] = field(default_factory=list)
    trends: dict[str, Trend] = field(default_factory=dict)
    verdict: Verdict | None = None
    failure: str = ""

    @property
    def equal(self) -> bool:
        return self.verdict is not None and self.verdict.equal and not self.failure

    @property
    def growing(self) -> list[str]:
        """What grew in a way that a longer run would not bear."""
        return [name for name, trend in self.trends.items() if trend.grew]

    @property
    def judged(self) -> bool:
        """Whether the run was long enough to tell growth from noise."""
        return any(trend.grew is not None for trend in self.trends.values())

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"equal": self.equal, "growing": self.growing, **asdict(self)}


def run(order: Order, home: Path, cache: Path, say: Say) -> Report:
    """Run it. Raises what a stack that does not start raises."""
    report = Report(order)
    with (
        Stack(home, cache=cache) as stack,
        Nursery() as nursery,
        Rig(
            stack,
            nursery,
            home,
            partitions=PARTITIONS,
            times=Times(flush_ms=300, session_ms=3000, metadata_ms=2000, clickhouse_s=3, recheck_s=10),
            by_row=False,
        ) as rig,
    ):
        try:
            _run(order, rig, stack, report, say)
        except (NotCaughtUpError, LogUnreadError, WorkerGoneError, KafkaFailureError, SinkError) as e:
            report.failure = f"{type(e).__name__}: {e}"
        report.starts = sum(worker.starts for worker in rig.workers)
        report.looks = rig.watch.looks
    return report


def _run(order: Order, rig: Rig, stack: Stack, report: Report, say: Say) -> None:
    rng = Random(order.seed)  # noqa: S311  # chaos that can be repeated
    mayhem = Mayhem(rig, stack, rng, order.workers)
    mayhem.start()
    seconds = order.minutes * 60
    plan = Plan(
        seed=order.seed,
        now_ms=time.time_ns() // 1_000_000,
        messages=int(order.rate * seconds),
        span_ms=int(seconds * 1000 * SPEED),
        leaps=int(order.minutes),
        partitions=PARTITIONS,
    )
    began = time.monotonic()
    feed = rig.feed(with_raw(Traffic(plan), RAW), order.rate)
    every_s = min(SAMPLE_S, seconds / SAMPLES)
    next_fault, next_sample = began + rng.uniform(*PAUSE_S), began + every_s
    while (now := time.monotonic()) < began + seconds:
        mayhem.tend(now)
        if now >= next_fault:
            name = mayhem.begin(now)
            say(f"{now - began:7.1f} s  {name}")
            next_fault = now + rng.uniform(*PAUSE_S)
        if now >= next_sample:
            next_sample += every_s
            report.samples.append(look(rig, stack, (now - began) / 60))
        time.sleep(0.05)
    say(f"{order.minutes:g} minutes are over: healing")
    mayhem.heal()
    feed.stop()
    report.sent, report.sent_again = feed.sent, feed.sent_again
    report.faults, report.unasked = dict(mayhem.faults), mayhem.unasked
    report.healed_s = round(rig.wait_caught_up(), 1)
    say(f"caught up {report.healed_s:.1f} s after healing; comparing")
    report.samples.append(look(rig, stack, (time.monotonic() - began) / 60))
    report.trends = trends(report.samples, mayhem.ready_s)
    report.verdict = rig.judge()
