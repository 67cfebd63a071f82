"""Is the cost of an event the same, whatever the number of keys, of partitions, of workers?"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from infra.bench.compare import compare
from infra.bench.contenders import choose
from infra.bench.ground import Ground, Say, ensure_topic
from infra.bench.load import Load
from infra.bench.memory import bytes_each
from infra.bench.processes import pin, usage
from infra.bench.songlo import (
    READY_SECONDS,
    Target,
    Worker,
    WorkerError,
    create_database,
    drop_database,
    query,
    wait_stored,
)

KEYS = (10, 100, 436, 1000, 10_000, 100_000, 1_000_000)
PARTITIONS = (1, 2, 6, 16, 64)
FLAT = 1.5
# two workers need a backlog that outlasts the rebalance at their start
BACKLOG = 4
TIMEOUT_SECONDS = 900.0


def measure(events: int, runs: int, ground: Ground, cache: Path, say: Say) -> dict[str, Any]:
    """Cost by keys and by partitions, throughput by workers, memory by row and by id."""
    loads = {f"{k:,} keys": Load(events, keys=k) for k in KEYS}
    loads |= {f"{p} partitions": Load(events, partitions=p) for p in PARTITIONS}
    costs: dict[str, dict[str, float]] = {}
    for name, load in loads.items():
        say(f"{name} …")
        (result,) = compare(choose("a"), load, runs, ground, cache, say)
        if not result.believed:
            raise WorkerError(f"{name}: {result.reason}")
        costs[name] = {
            "cpu_us_per_event": round(result.cpu_us, 3),
            "clickhouse_us_per_event": round(result.beside_us("clickhouse"), 3),
            "events_per_s": round(result.per_second),
            "peak_mb": round(result.peak_mb, 1),
        }
    backlog = Load(events * BACKLOG)
    ensure_topic(ground.brokers, backlog, say)
    workers = {str(n): _workers(n, backlog, ground, say) for n in (1, 2)}
    return {"cost": costs, "workers": workers, "memory": bytes_each()}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"{'':<18}{'CPU µs/event':>14}{'ClickHouse µs':>15}{'events/s':>12}{'peak MB':>9}"
    for name, c in found["cost"].items():
        cost, engine = c["cpu_us_per_event"], c["clickhouse_us_per_event"]
        yield f"{name:<18}{cost:>14.2f}{engine:>15.2f}{c['events_per_s']:>12,}{c['peak_mb']:>9.0f}"
    for kind in ("keys", "partitions"):
        costs = [c["cpu_us_per_event"] for name, c in found["cost"].items() if name.endswith(kind)]
        yield f"{kind}: dearest {max(costs) / min(costs):.2f} times the cheapest (meant: at most {FLAT})"
    one, two = found["workers"]["1"], found["workers"]["2"]
    yield ""
    for number, w in found["workers"].items():
        yield (
            f"{number} worker{'s' if number != '1' else ''}: {w['events_per_s']:,} events/s; cores busy: "
            f"workers {w['workers_cores']:.2f}, Kafka {w['broker_cores']:.2f}, "
            f"ClickHouse {w['clickhouse_cores']:.2f}"
        )
    yield f"two are {two['events_per_s'] / one['events_per_s']:.2f} times one (meant: at least 1.8)"
    alike = 2 * one["workers_us_per_event"] / two["workers_us_per_event"]
    yield f"with cores enough for Kafka and ClickHouse beside them, by their CPU: {alike:.2f} times"
    memory = found["memory"]
    yield f"memory: {memory['row']:,} bytes per open row, {memory['id']:,} bytes per remembered id"


def _workers(number: int, load: Load, ground: Ground, say: Say) -> dict[str, float]:
    """Throughput of so many workers on a core each, from when all have partitions until all is stored."""
    target = Target(
        ground.brokers, load.topic, ground.clickhouse, ground.clickhouse_http, f"bench_scale_{number}"
    )
    drop_database(target)
    create_database(target)
    # with one core for each worker none is left for Kafka and ClickHouse alone: they use what is free
    cores = [core for core in (ground.core, *_others(ground)) if core is not None]
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(target, ground.work, n)) for n in range(number)]
        for worker, core in zip(workers, cores, strict=False):
            pin(worker.pid, core)
        for worker in workers:
            _wait_assigned(worker)
        pids = {**{f"worker {n}": w.pid for n, w in enumerate(workers)}, **ground.pids}
        began, stored = (
            time.monotonic(),
            query(target, "SELECT sum(folded) AS n FROM stream_progress")[0]["n"],
        )
        if stored > load.events // 2:
            raise WorkerError(
                f"{stored:,} events were read before all workers had partitions: take more --events"
            )
        before = {name: usage(pid).cpu_seconds for name, pid in pids.items()}
        wait_stored(target, load.events, TIMEOUT_SECONDS, look_seconds=0.1)
        took = time.monotonic() - began
        spent = {name: usage(pid).cpu_seconds - before[name] for name, pid in pids.items()}
    drop_database(target)
    rate = (load.events - stored) / took
    say(f"{number} worker(s): {rate:,.0f} events/s")
    return {
        "events_per_s": round(rate),
        "workers_us_per_event": round(_of_workers(spent) * 1e6 / (load.events - stored), 3),
        "workers_cores": round(_of_workers(spent) / took, 3),
        "broker_cores": round(spent.get("broker", 0.0) / took, 3),
        "clickhouse_cores": round(spent.get("clickhouse", 0.0) / took, 3),
    }


def _of_workers(spent: Mapping[str, float]) -> float:
    return sum(seconds for name, seconds in spent.items() if name.startswith("worker"))


def _wait_assigned(worker: Worker) -> None:
    worker.wait(lambda: bool(worker.status().get("assigned")), READY_SECONDS, "has no partition")


def _others(ground: Ground) -> list[int]:
    return sorted(os.sched_getaffinity(0) - {ground.core})
