"""Worker processes for tests: each group of them with a topic, a database and a consumer group of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from infra.kafka.admin import Admin
from infra.kafka.producer import Producer
from sinks.clickhouse import ClickHouseAccess
from streams.kafka_access import KafkaAccess
from tests.support.clickhouse import ask, new_database
from tests.support.oracle import Totals
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]


class Stack(Protocol):
    """Where Kafka and ClickHouse are, each host:port."""

    @property
    def brokers(self) -> str: ...
    @property
    def clickhouse(self) -> str: ...


@dataclass(slots=True)
class Worker:
    """One worker process."""

    process: "subprocess.Popen[bytes]"
    status_path: Path
    log_path: Path

    def status(self) -> dict[str, Any]:
        """What it has told last; empty before it has."""
        try:
            told: dict[str, Any] = json.loads(self.status_path.read_text())
        except FileNotFoundError:
            return {}
        return told if told["pid"] == self.process.pid else {}

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Until it has its partitions."""
        eventually(lambda: self.status().get("state") == "ready", timeout_s)

    def wait_exit(self, timeout_s: float = 60) -> int:
        """Its exit code."""
        return self.process.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def log(self) -> str:
        """What it has written."""
        return self.log_path.read_text(errors="replace")


@dataclass(slots=True)
class River:
    """A topic, a database and the workers between them."""

    stack: Stack
    server: ClickHouseAccess
    folder: Path
    name: str = field(default_factory=lambda: f"camera-{uuid4().hex[:8]}")
    workers: list[Worker] = field(default_factory=list)

    def start(self, **config: object) -> Worker:
        """Start one more worker."""
        at = self.folder / f"worker-{len(self.workers)}"
        told = {
            "brokers": self.stack.brokers,
            "clickhouse": self.stack.clickhouse,
            "database": self.server.database,
            "topic": self.name,
            "group": self.name,
            "status": f"{at}.json",
            # soon taken for dead when killed
            "session_ms": 2_000,
            "heartbeat_ms": 500,
            "flush_ms": 100,
            "recheck_ms": 1_000,
            # both engines write the same rows, so that a worker may take over from one of the other kind
            "fold": ("auto", "plain")[len(self.workers) % 2],
            **config,
        }
        with Path(f"{at}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.one_worker", json.dumps(told)],
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        worker = Worker(process, Path(f"{at}.json"), Path(f"{at}.log"))
        self.workers.append(worker)
        return worker

    def produce(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Send keyed messages, for certain."""
        with Producer(KafkaAccess.at(self.stack.brokers)) as producer:
            for key, value in messages:
                producer.send(self.name, key, value)

    def ends(self) -> dict[int, int]:
        """The end of each partition's log."""
        with Admin(KafkaAccess.at(self.stack.brokers)) as admin:
            return {partition: end for (_, partition), end in admin.ends([self.name]).items()}

    def folded_up_to(self) -> dict[int, int]:
        """The stored position of each partition."""
        sql = f"SELECT partition, next_offset FROM stream_progress WHERE topic = '{self.name}'"
        return {int(partition): int(offset) for partition, offset in ask(self.server, sql)}

    def drain(self, timeout_s: float = 90) -> None:
        """Until all that is in the log is in the tables, strays that come to it meanwhile too."""

        def done() -> bool:
            # asked first: what a position accounts for has been sent home by then
            at = self.folded_up_to()
            return all(at.get(partition, 0) >= end for partition, end in self.ends().items())

        eventually(done, timeout_s)

    def totals(self) -> Totals:
        """What analysts see of each window and camera."""
        sql = (
            "SELECT toUnixTimestamp(window_start), camera_id, sum(events), sum(objects) FROM camera_minute "
            "GROUP BY window_start, camera_id"
        )
        return {(int(w), str(c)): (int(e), int(o)) for w, c, e, o in ask(self.server, sql)}

    def counts(self) -> dict[str, int]:
        """What became of all events read, over all partitions."""
        names = ("folded", "duplicates", "late", "dead", "strays", "away")
        sums = ", ".join(f"sum({name})" for name in names)
        return dict(zip(names, ask(self.server, f"SELECT {sums} FROM stream_progress")[0], strict=True))

    def conserved(self) -> bool:
        """Whether every offset is accounted for once, of a log with one event in each message."""
        sql = "SELECT countIf(folded + duplicates + late + dead + strays != next_offset) FROM stream_progress"
        return ask(self.server, sql) == [(0,)]


@contextmanager
def river(stack: Stack, folder: Path, partitions: int = 3) -> Iterator[River]:
    """A topic and a database of its own; its workers are gone afterwards."""
    made = River(stack, new_database(stack), folder)
    with Admin(KafkaAccess.at(stack.brokers)) as admin:
        admin.create(made.name, partitions, 1, {"message.timestamp.type": "LogAppendTime"})
    try:
        yield made
    finally:
        for worker in made.workers:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()
