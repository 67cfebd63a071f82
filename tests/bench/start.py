"""How soon a worker is ready, and how soon it goes on where another was killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any
from uuid import uuid4

import orjson

from infra.kafka.admin import Admin
from infra.kafka.producer import Producer
from infra.kafka.topics import apply, plan
from infra.settings.environment import load_settings
from infra.stack.process.service import last_lines, tethered
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.config import WorkerConfig
from tests.bench.environment import ROOT
from tests.bench.ground import Ground, Say, ensure_topic
from tests.bench.load import T0_MS, Load
from tests.bench.songlo import (
    LOOK_SECONDS,
    READY_SECONDS,
    Target,
    Worker,
    WorkerError,
    create_database,
    drop_database,
    read_status,
    wait_stored,
)

MINUTES, PER_SECOND = 5, 1000
# a seed of its own: the topic grows with every run
SEED = 5
START_SECONDS, RECOVERY_SECONDS = 3.0, 5.0
TIMEOUT_SECONDS = 300.0
SESSION_SECONDS = WorkerConfig(kafka=KafkaAccess.at("nowhere:1")).session_ms / 1000 + 1


def measure(runs: int, ground: Ground, say: Say) -> dict[str, Any]:
    """Seconds from exec to ready of `songlo worker` on its three topics, and of a recovery."""
    ready, recovered = [], []
    for number in range(1, runs + 1):
        ready.append(_start(ground))
        recovered.append(_recover(ground, say))
        say(f"run {number}/{runs}: ready after {ready[-1]:.2f} s, recovered after {recovered[-1]:.2f} s")
    return {
        "ready_s": round(median(ready), 3),
        "recovered_s": round(median(recovered), 3),
        "recovered_events": MINUTES * 60 * PER_SECOND,
        "runs": runs,
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"median of {found['runs']} runs, each on one core beside an idle Kafka and ClickHouse"
    ready, recovered = found["ready_s"], found["recovered_s"]
    yield f"songlo worker, exec to ready          {ready:>7.2f} s (meant: under {START_SECONDS:.0f})"
    yield (
        f"after kill -9, exec to stored again   {recovered:>7.2f} s (meant: under "
        f"{RECOVERY_SECONDS:.0f}), open windows of {MINUTES} minutes, {found['recovered_events']:,} events"
    )


def _start(ground: Ground) -> float:
    """One start of the real command: three streams, six partitions each, nothing to read."""
    database = f"bench_start_{uuid4().hex[:8]}"
    target = Target(ground.brokers, "", ground.clickhouse, ground.clickhouse_http, database)
    specs = load_streams().values()
    with Admin(KafkaAccess.at(ground.brokers)) as admin:
        settings = load_settings({})
        apply(admin, plan(specs, admin.topics([spec.topic for spec in specs]), settings), 1)
    create_database(target)
    try:
        return _ready(target, ground)
    finally:
        drop_database(target)


def _ready(target: Target, ground: Ground) -> float:
    status, log = (ground.work / f"{target.database}.{kind}" for kind in ("json", "log"))
    command = [sys.executable, "-P", "-m", "infra.cli", "worker", "--status", str(status)]
    environment = {
        "SONGLO_BROKERS": ground.brokers,
        "SONGLO_CLICKHOUSE": ground.clickhouse,
        "SONGLO_CLICKHOUSE_DATABASE": target.database,
        "SONGLO_GROUP": target.database,
        "PYTHONPATH": str(ROOT),
    }
    with log.open("wb") as out:
        began = time.monotonic()
        worker = subprocess.Popen(
            tethered([*_pinned(ground), *command]),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=ROOT,
        )
    try:
        while read_status(status).get("state") != "ready":
            if worker.poll() is not None or time.monotonic() - began > READY_SECONDS:
                raise WorkerError(f"the worker is not ready{last_lines(log)}")
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - began
    finally:
        worker.terminate()
        worker.wait()


def _recover(ground: Ground, say: Say) -> float:
    """A worker is killed whose open windows hold five minutes; until the next has stored what came since."""
    load = Load(MINUTES * 60 * PER_SECOND, per_second=PER_SECOND, seed=SEED)
    ensure_topic(ground.brokers, load, say)
    name = f"bench_recover_{uuid4().hex[:8]}"
    target = Target(ground.brokers, load.topic, ground.clickhouse, ground.clickhouse_http, name)
    # no window closes before the end
    environment = {"SONGLO_DISORDER_SECONDS": str((MINUTES + 1) * 60)}
    create_database(target)
    try:
        first = Worker(target, ground.work, prefix=_pinned(ground), environment=environment)
        with first:
            first.wait_folded(load.events, TIMEOUT_SECONDS)
            first.kill()
        _send_news(ground.brokers, load)
        # until then Kafka keeps the partitions for the one that was killed
        time.sleep(SESSION_SECONDS)
        began = time.monotonic()
        with Worker(target, ground.work, 1, _pinned(ground), environment):
            wait_stored(target, load.events + load.partitions, TIMEOUT_SECONDS)
            return time.monotonic() - began
    finally:
        drop_database(target)


def _send_news(brokers: str, load: Load) -> None:
    """An event for each partition: when they are stored, all before them has been read again."""
    with Producer(KafkaAccess.at(brokers)) as producer:
        for partition in range(load.partitions):
            event = {
                "event_id": uuid4().hex,
                "occurred_at": T0_MS + MINUTES * 60_000,
                "ward_code": "02203",
                "camera_id": f"news-{partition}",
                "kind": "heartbeat",
            }
            producer.send(load.topic, b"", orjson.dumps(event), partition)


def _pinned(ground: Ground) -> list[str]:
    return ["taskset", "-c", str(ground.core)] if ground.core is not None else []
