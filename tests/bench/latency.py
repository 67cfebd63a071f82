"""How long from an event's sending until a query finds it, under a steady load.

Probe events, each with a camera of its own, are sent among the others; the table is asked for them
again and again, and a probe's time is when an answer first holds it.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from infra.stack.process.service import tethered
from tests.bench.compare import compare
from tests.bench.contenders import choose
from tests.bench.environment import PEERS, ROOT
from tests.bench.ground import FillError, Ground, Say
from tests.bench.load import T0_MS, Load
from tests.bench.processes import usage
from tests.bench.songlo import Target, Worker, WorkerError, create_database, drop_database, query

PERCENTS = (10, 50, 90)
PARTITIONS = 6
LOOK_SECONDS = 0.02
# the first seconds fill caches, and are not counted
WARM_SECONDS = 3.0
PATIENCE_SECONDS = 30.0
FULL_EVENTS = 1_000_000
BOUND_SECONDS = 2.0


def measure(
    seconds: int, full: int | None, flush_ms: int, ground: Ground, cache: Path, say: Say
) -> dict[str, Any]:
    """p50 and p99 at parts of the full load, which is what a worker reads of a backlog when not given."""
    if full is None:
        say("measuring full load …")
        (result,) = compare(choose("a"), Load(FULL_EVENTS), 1, ground, cache, say)
        if not result.believed:
            raise WorkerError(result.reason)
        full = round(result.per_second)
    levels = []
    for percent in PERCENTS:
        rate = full * percent // 100
        say(f"{percent} %: {rate:,} events/s for {seconds} s …")
        levels.append({"percent": percent, **_level(rate, seconds, flush_ms, ground)})
    return {"full_events_per_s": full, "flush_ms": flush_ms, "levels": levels}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"full load {found['full_events_per_s']:,} events/s, a flush every {found['flush_ms']} ms"
    head = f"{'load':>6}{'asked/s':>11}{'sent/s':>11}{'probes':>8}{'p50 ms':>8}{'p99 ms':>8}{'most':>8}"
    yield f"{head}{'µs/event':>10}"
    for x in found["levels"]:
        yield (
            f"{x['percent']:>4} %{x['asked_per_s']:>11,}{x['sent_per_s']:>11,}{x['probes']:>8}"
            f"{x['p50_ms']:>8.0f}{x['p99_ms']:>8.0f}{x['max_ms']:>8.0f}{x['worker_us_per_event']:>10.2f}"
        )
    yield f"meant: p99 under {BOUND_SECONDS * 1000:,.0f} ms at 50 %"


def quantile(values: Sequence[float], part: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _level(rate: int, seconds: int, flush_ms: int, ground: Ground) -> dict[str, float]:
    name = f"bench_latency_{uuid4().hex[:8]}"
    target = Target(
        ground.brokers, name.replace("_", "."), ground.clickhouse, ground.clickhouse_http, name, flush_ms
    )
    create_database(target)
    given = [ground.brokers, target.topic, str(PARTITIONS), str(rate), str(seconds)]
    sender = subprocess.Popen(
        tethered([sys.executable, str(PEERS / "live.py"), *given]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    pinned = ["taskset", "-c", str(ground.core)] if ground.core is not None else []
    try:
        assert sender.stdin and sender.stdout  # noqa: S101, PT018  # for the type checker: both are pipes
        if sender.stdout.readline().strip() != "ready":
            raise FillError("the load could not be built; what is above says why")
        with Worker(target, ground.work, prefix=pinned) as worker:
            worker.wait_ready()
            sender.stdin.write("\n")
            sender.stdin.flush()
            before = usage(worker.pid).cpu_seconds
            found = _watch(target, sender, rate)
            cpu = usage(worker.pid).cpu_seconds - before
            return {**found, "worker_us_per_event": round(cpu * 1e6 / found["events"], 3)}
    finally:
        sender.kill()
        sender.wait()
        drop_database(target)


def _watch(target: Target, sender: "subprocess.Popen[str]", rate: int) -> dict[str, float]:
    sent: dict[str, float] = {}
    done: list[tuple[int, float]] = []

    def listen() -> None:
        assert sender.stdout  # noqa: S101  # for the type checker: it is a pipe
        for line in sender.stdout:
            kind, *rest = line.split()
            if kind == "probe":
                sent[rest[0]] = float(rest[1])
            elif kind == "sent":
                done.append((int(rest[0]), float(rest[1])))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    began, seen = time.time(), dict[str, float]()
    last_seen = began
    while not done or len(seen) < len(sent):
        recent = T0_MS // 1000 + int(time.time() - began) - 120
        sql = f"SELECT DISTINCT camera_id FROM camera_windows WHERE window_start >= {recent}"  # noqa: S608  # our own numbers
        answer, now = query(target, f"{sql} AND kind = 'heartbeat'"), time.time()
        for row in answer:
            if row["camera_id"] not in seen:
                seen[row["camera_id"]] = last_seen = now
        if now - last_seen > PATIENCE_SECONDS:
            raise WorkerError(f"{len(sent) - len(seen)} of {len(sent)} probes are not found")
        time.sleep(LOOK_SECONDS)
    ((events, took),) = done
    waited = [1000 * (seen[name] - at) for name, at in sent.items() if at - began > WARM_SECONDS]
    return {
        "asked_per_s": rate,
        "events": events,
        "sent_per_s": round(events / took),
        "probes": len(waited),
        "p50_ms": round(quantile(waited, 0.5), 1),
        "p99_ms": round(quantile(waited, 0.99), 1),
        "max_ms": round(max(waited), 1),
    }
