"""Where it is measured: a stack of the bench's own, kept off the core that the contenders run on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.kafka.admin import Admin
from infra.settings.environment import load_settings
from infra.stack.stack import Stack
from streams.engine import choose_engine
from streams.kafka_access import KafkaAccess
from tests.bench.environment import PEERS, ROOT
from tests.bench.load import Load
from tests.bench.run import Place
from tests.bench.songlo import spec_for

Say = Callable[[str], None]


class FillError(Exception):
    """The events could not be sent."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A running stack, and where on the machine contenders go; `core` is None when there is only one.

    `logs` is the directory of Kafka's logs."""

    brokers: str
    clickhouse: str
    clickhouse_http: str
    core: int | None
    work: Path
    logs: Path
    pids: dict[str, int]

    @property
    def place(self) -> Place:
        """The ground as runs need it."""
        return Place(self.brokers, self.core, self.work, self.pids)


@contextmanager
def own_ground(cache: Path, say: Say) -> Iterator[Ground]:
    """A stack in the cache, so that topics are kept; everything but the contenders stays off their core."""
    cores = os.sched_getaffinity(0)
    core = min(cores) if len(cores) > 1 else None
    home = cache / "bench" / "stack"
    settings = load_settings(os.environ)
    say(f"Songlo is {choose_engine(settings.fold, settings.library_folder, [spec_for('bench')])[1]}")
    say("starting Kafka and ClickHouse for the bench …")
    try:
        if core is not None:
            os.sched_setaffinity(0, cores - {core})
        with Stack(home, cache=cache) as stack:
            shutil.rmtree(home / "work", ignore_errors=True)
            yield ground_of(stack, home / "work", core)
    finally:
        os.sched_setaffinity(0, cores)


def ground_of(stack: Stack, work: Path, core: int | None) -> Ground:
    """A stack that is running already as the ground."""
    work.mkdir(parents=True, exist_ok=True)
    pids = {name: pid for name in ("broker", "clickhouse") if (pid := stack.pid(name)) is not None}
    logs = stack.home / "data" / "broker"
    return Ground(stack.brokers, stack.clickhouse, stack.clickhouse_http, core, work, logs, pids)


def held_bytes(ground: Ground, load: Load) -> int:
    """Bytes of record batches that Kafka holds of the load's topic."""
    folders = (ground.logs / f"{load.topic}-{partition}" for partition in range(load.partitions))
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*.log"))


def ensure_topic(brokers: str, load: Load, say: Say) -> None:
    """Fill the load's topic, unless it is there with all events. Raises FillError."""
    with Admin(KafkaAccess.at(brokers)) as admin:
        if sum(admin.ends([load.topic]).values()) == load.events:
            return
    fill_topic(brokers, load, say)


def fill_topic(brokers: str, load: Load, say: Say) -> None:
    """Fill the load's topic, anew where there is one. Raises FillError."""
    say(f"sending {load.events:,} events of {load.keys:,} cameras to {load.partitions} partitions …")
    given = (load.events, load.keys, load.partitions, load.per_second, load.seed, load.partitioner, "none")
    done = subprocess.run(
        [sys.executable, str(PEERS / "fill.py"), brokers, *map(str, given)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FillError(f"{load.topic} could not be filled: {done.stderr.strip()[-600:]}")
