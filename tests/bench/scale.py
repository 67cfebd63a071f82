"""Is the cost of an event the same, whatever the number of keys, of partitions, of workers?"""

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.compare import Result, in_turns
from tests.bench.contenders import choose
from tests.bench.ground import Ground, Say, ensure_topic
from tests.bench.load import Load
from tests.bench.machine import worth_of
from tests.bench.memory import bytes_each
from tests.bench.processes import pin, usage, wait_quiet
from tests.bench.songlo import (
    READY_SECONDS,
    Target,
    Worker,
    WorkerError,
    create_database,
    drop_database,
    query,
)

KEYS = (10, 100, 436, 1000, 10_000, 100_000, 1_000_000)
PARTITIONS = (1, 2, 6, 16, 64)
# with as few events a second as the others have, a million cameras open a row for each event
CITY_KEYS, CITY_PER_MINUTE = 1_000_000, 4
FLAT = 1.5
GROWTH = 1.8
# two workers need a backlog that outlasts the rebalance at their start
BACKLOG = 16
# up to here two workers have about as much to do, however the keys fall into partitions
MEASURED_PART = 0.8
LOOK_SECONDS, TIMEOUT_SECONDS = 0.05, 900.0


def measure(events: int, runs: int, ground: Ground, cache: Path, say: Say) -> dict[str, Any]:
    """Cost by keys and by partitions, throughput by workers, memory by row and by id."""
    rate = CITY_KEYS * CITY_PER_MINUTE // 60
    # what is compared with each other runs in turns
    groups = (
        {f"{k:,} keys": Load(events, keys=k) for k in KEYS},
        {f"{p} partitions": Load(events, partitions=p) for p in PARTITIONS},
        {f"{CITY_KEYS:,}, {CITY_PER_MINUTE} a minute": Load(events, keys=CITY_KEYS, per_second=rate)},
    )
    costs = {name: cost for loads in groups for name, cost in _costs(loads, runs, ground, cache, say)}
    found: dict[str, Any] = {"cost": costs, "memory": bytes_each()}
    if ground.core is not None:
        backlog = Load(events * BACKLOG)
        ensure_topic(ground.brokers, backlog, say)
        wait_quiet(ground.pids.values())
        found["second_core"] = round(worth_of([ground.core, *_others(ground)[:1]]), 2)
        _workers(1, backlog, ground, say)  # what is read for the first time costs twice
        tried = [{n: _workers(n, backlog, ground, say) for n in (1, 2)} for _ in range(runs)]
        found["workers"] = {
            str(n): {name: median(one[n][name] for one in tried) for name in tried[0][n]} for n in (1, 2)
        }
    return found


def _costs(
    loads: Mapping[str, Load], runs: int, ground: Ground, cache: Path, say: Say
) -> Iterator[tuple[str, dict[str, float]]]:
    (songlo,) = choose("a")
    results = [Result(songlo, load, name) for name, load in loads.items()]
    in_turns(results, runs, ground, cache, say)
    for result in results:
        if not result.believed:
            raise WorkerError(f"{result.title}: {result.reason}")
        yield (
            result.title,
            {
                "cpu_us_per_event": round(result.cpu_us, 3),
                "clickhouse_us_per_event": round(result.beside_us("clickhouse"), 3),
                "events_per_s": round(result.per_second),
                "peak_mb": round(result.peak_mb, 1),
            },
        )


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"{'':<21}{'CPU µs/event':>14}{'ClickHouse µs':>15}{'events/s':>12}{'peak MB':>9}"
    for name, c in found["cost"].items():
        cost, engine = c["cpu_us_per_event"], c["clickhouse_us_per_event"]
        yield f"{name:<21}{cost:>14.2f}{engine:>15.2f}{c['events_per_s']:>12,}{c['peak_mb']:>9.0f}"
    for kind in ("keys", "partitions"):
        costs = [c["cpu_us_per_event"] for name, c in found["cost"].items() if name.endswith(kind)]
        yield f"{kind}: dearest {max(costs) / min(costs):.2f} times the cheapest (meant: at most {FLAT})"
    yield ""
    if workers := found.get("workers"):
        yield "all on as many cores as there are workers, Kafka and ClickHouse too"
        yield f"{'workers':<9}{'events/s':>12}{'worker µs/event':>18}{'Kafka':>8}{'ClickHouse':>12}"
        for number, w in workers.items():
            costs_of = f"{w['worker_us']:>18.2f}{w['broker_us']:>8.2f}{w['clickhouse_us']:>12.2f}"
            yield f"{number:<9}{w['events_per_s']:>12,}{costs_of}"
        growth = workers["2"]["events_per_s"] / workers["1"]["events_per_s"]
        yield f"two are {growth:.2f} times one (meant: at least {GROWTH})"
        yield f"the fold alone, one process on each of these cores: {found['second_core']:.2f} times one"
    memory = found["memory"]
    yield f"memory: {memory['row']:,} bytes per open row, {memory['id']:,} bytes per remembered id"


def _workers(number: int, load: Load, ground: Ground, say: Say) -> dict[str, float]:
    """Throughput of so many workers on a core each, which they share with Kafka and ClickHouse."""
    target = Target(
        ground.brokers, load.topic, ground.clickhouse, ground.clickhouse_http, f"bench_scale_{number}"
    )
    drop_database(target)
    create_database(target)
    cores = [core for core in (ground.core, *_others(ground)) if core is not None][:number]
    with ExitStack() as stack:
        stack.enter_context(_kept_on(ground.pids.values(), cores, _others(ground)))
        wait_quiet(ground.pids.values())
        workers = [stack.enter_context(Worker(target, ground.work, n)) for n in range(number)]
        for worker, core in zip(workers, cores, strict=True):
            pin(worker.pid, {core})
        for worker in workers:
            _wait_assigned(worker)
        pids = {"worker": [w.pid for w in workers], **{name: [pid] for name, pid in ground.pids.items()}}
        rate, begin, end = rate_of(_watched(target, load, pids))
    drop_database(target)
    say(f"{number} worker(s): {rate:,.0f} events/s")
    events = rate * (end.at - begin.at)
    spent = {f"{name}_us": round((end.cpu[name] - begin.cpu[name]) * 1e6 / events, 3) for name in pids}
    return {"events_per_s": round(rate), **spent}


@dataclass(frozen=True, slots=True)
class Moment:
    """When a flush was seen: events stored of each partition, and processor seconds spent, by name."""

    at: float
    stored: dict[int, int]
    cpu: dict[str, float]


def rate_of(seen: Sequence[Moment]) -> tuple[float, Moment, Moment]:
    """Events per second, and the moments between which every partition was read.

    Each partition from its second flush (of two the first) to its last one: workers begin one after the
    other, take a second to come up to speed, and flush in turns, so that what all have stored between two
    moments is not what they did in that time.
    Raises WorkerError when a partition was not seen flushed twice.
    """
    rate, begin, end, at = 0.0, seen[0], seen[-1], attrgetter("at")
    for partition in seen[-1].stored:
        counts = [moment.stored.get(partition, 0) for moment in seen]
        changes = [n for n, (before, now) in enumerate(pairwise(counts), 1) if now > before]
        if len(changes) < 2:
            raise WorkerError("too little was left when all workers had partitions: take more --events")
        start, stop = changes[min(1, len(changes) - 2)], changes[-1]
        first, last = seen[start], seen[stop]
        rate += (counts[stop] - counts[start]) / (last.at - first.at)
        begin, end = max(begin, first, key=at), min(end, last, key=at)
    if begin.at >= end.at:
        raise WorkerError("the workers did not read at the same time: take more --events")
    return rate, begin, end


def _watched(target: Target, load: Load, pids: dict[str, list[int]]) -> list[Moment]:
    """Every flush that was seen while all had something to do."""
    deadline, enough = time.monotonic() + TIMEOUT_SECONDS, round(load.events * MEASURED_PART)
    seen: list[Moment] = []
    while (total := sum((stored := _stored(target)).values())) < enough:
        if time.monotonic() > deadline:
            raise WorkerError(f"{total:,} of {load.events:,} events are stored after {TIMEOUT_SECONDS:.0f} s")
        if not seen or stored != seen[-1].stored:
            cpu = {name: sum(usage(pid).cpu_seconds for pid in some) for name, some in pids.items()}
            seen.append(Moment(time.monotonic(), stored, cpu))
        time.sleep(LOOK_SECONDS)
    return seen


def _wait_assigned(worker: Worker) -> None:
    worker.wait(lambda: bool(worker.status().get("assigned")), READY_SECONDS, "has no partition")


def _stored(target: Target) -> dict[int, int]:
    rows = query(target, "SELECT partition, sum(folded) AS n FROM stream_progress GROUP BY partition")
    return {int(row["partition"]): int(row["n"]) for row in rows}


@contextmanager
def _kept_on(pids: Collection[int], cores: Collection[int], usual: Collection[int]) -> Iterator[None]:
    for pid in pids:
        pin(pid, cores)
    try:
        yield
    finally:
        for pid in pids:
            pin(pid, usual)


def _others(ground: Ground) -> list[int]:
    return sorted(os.sched_getaffinity(0) - {ground.core})
