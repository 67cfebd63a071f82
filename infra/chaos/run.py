"""One random run: a stack of its own, workers, traffic and faults for some minutes, and the verdict."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from infra.chaos.mayhem import Mayhem
from infra.chaos.nursery import Nursery
from infra.chaos.rig import NotCaughtUpError, Rig, Times
from infra.chaos.traffic import Plan, Traffic
from infra.chaos.verdict import Verdict
from infra.chaos.workers import WorkerGoneError
from infra.kafka import KafkaFailureError
from infra.local.stack import Stack
from infra.windows import rows
from streams.sink import SinkError

PARTITIONS = 6
# event times pass so much faster than the clock
SPEED = 20
PAUSE_S = (3.0, 10.0)
SAMPLE_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for; `rate` is in messages a second."""

    seed: int
    minutes: float
    workers: int = 3
    rate: float = 500.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at what must not grow: of the workers the largest, of the store all active parts."""

    minute: float
    rss_mb: float
    open_files: int
    parts: int
    folded: int


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
    samples: list[Sample] = field(default_factory=list)
    verdict: Verdict | None = None
    failure: str = ""

    @property
    def equal(self) -> bool:
        return self.verdict is not None and self.verdict.equal and not self.failure

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"equal": self.equal, **asdict(self)}


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
            times=Times(flush_ms=300, session_ms=3000, metadata_ms=2000, clickhouse_s=3, doubt_s=10),
            by_row=False,
        ) as rig,
    ):
        try:
            _run(order, rig, stack, report, say)
        except (NotCaughtUpError, WorkerGoneError, KafkaFailureError, SinkError) as e:
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
    feed = rig.feed(Traffic(plan), order.rate)
    next_fault, next_sample = began + rng.uniform(*PAUSE_S), began + SAMPLE_S
    while (now := time.monotonic()) < began + seconds:
        mayhem.tend(now)
        if now >= next_fault:
            name = mayhem.begin(now)
            say(f"{now - began:7.1f} s  {name}")
            next_fault = now + rng.uniform(*PAUSE_S)
        if now >= next_sample:
            next_sample += SAMPLE_S
            report.samples += _samples(rig, (now - began) / 60)
        time.sleep(0.05)
    say(f"{order.minutes:g} minutes are over: healing")
    mayhem.heal()
    feed.stop()
    report.sent, report.sent_again = feed.sent, feed.sent_again
    report.faults, report.unasked = dict(mayhem.faults), mayhem.unasked
    report.healed_s = round(rig.wait_caught_up(), 1)
    say(f"caught up {report.healed_s:.1f} s after healing; comparing")
    report.samples += _samples(rig, (time.monotonic() - began) / 60)
    report.verdict = rig.judge()


def _samples(rig: Rig, minute: float) -> list[Sample]:
    """A sample, or none while the store is away."""
    sql = (
        "SELECT (SELECT count() FROM system.parts WHERE database = currentDatabase() AND active) AS parts, "
        "(SELECT sum(folded + late + duplicates + dead) FROM progress FINAL) AS folded"
    )
    with contextlib.suppress(SinkError):
        (row,) = rows(rig.server, sql)
        return [
            Sample(
                round(minute, 1),
                round(max(w.rss_mb for w in rig.workers), 1),
                max(w.open_files for w in rig.workers),
                int(row["parts"]),
                int(row["folded"]),
            )
        ]
    return []
