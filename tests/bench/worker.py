"""The process that is measured: a worker as `songlo worker` runs it, for the camera stream on any topic."""

import argparse
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from infra.settings.environment import load_settings
from sinks.clickhouse import ClickHouseAccess
from sinks.store import ClickHouseSink
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.kafka_access import KafkaAccess
from streams.worker.app import run_worker
from streams.worker.config import WorkerConfig
from tests.bench.songlo import spec_for


class MarkedSink(ClickHouseSink):
    """Notes what the process has used when it first asks where to go on: before it reads an event."""

    def __init__(self, server: ClickHouseAccess, began: Path) -> None:
        super().__init__(server)
        self._began: Path | None = began

    def progress(self, topic: str, partitions: Iterable[int]) -> dict[int, Progress]:
        """As the sink's own."""
        if self._began:
            self._began.write_text(f"{time.process_time()} {time.monotonic()}", encoding="ascii")
            self._began = None
        return super().progress(topic, partitions)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="A worker for one topic of camera events.")
    for name in ("brokers", "topic", "clickhouse", "database"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--flush-ms", type=int, required=True)
    parser.add_argument("--status", type=Path, required=True)
    parser.add_argument("--began", type=Path, required=True)
    a = parser.parse_args()
    settings = load_settings(os.environ)
    config = WorkerConfig(
        kafka=KafkaAccess.at(a.brokers, client_id="songlo-worker"),
        group=a.database,
        rules=Rules(disorder_ms=settings.disorder_seconds * 1000),
        flush_ms=a.flush_ms,
        status_path=a.status,
        log_level="WARNING",
        fold=settings.fold,
        library_folder=settings.library_folder,
    )
    sink = MarkedSink(ClickHouseAccess.at(a.clickhouse, database=a.database), a.began)
    return run_worker(config, [spec_for(a.topic)], sink)


if __name__ == "__main__":
    sys.exit(main())
