"""Songlo under the bench: a worker for one topic, in a database of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import orjson

from infra.stack.process.service import last_lines, tethered
from sinks.clickhouse import ClickHouseAccess, Session
from sinks.migrate import migrate
from sinks.query import stream_query
from streams.registry import load_streams
from streams.spec import StreamSpec
from tests.bench.environment import ROOT

STREAM = "camera"
NOTHING: Mapping[str, str] = MappingProxyType({})
READY_SECONDS = 60.0
LOOK_SECONDS = 0.02

_WINDOWS = """
    SELECT camera_id, toUnixTimestamp(window_start) * 1000,
        sum(events), sum(speed_sum) / 1000, max(speed_max) / 1000
    FROM camera_windows FINAL GROUP BY 1, 2
"""
_ACCOUNTED = "SELECT sum(folded) AS folded, sum(duplicates + late + dead) AS other FROM stream_progress"


class WorkerError(Exception):
    """The worker did not do what was asked in time; its log says more."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a worker works on; addresses as host:port."""

    brokers: str
    topic: str
    clickhouse: str
    clickhouse_http: str
    database: str
    flush_ms: int = 1000

    @property
    def native(self) -> ClickHouseAccess:
        """ClickHouse's native side."""
        return ClickHouseAccess.at(self.clickhouse, database=self.database)

    @property
    def http(self) -> ClickHouseAccess:
        """ClickHouse's HTTP side."""
        return ClickHouseAccess.at(self.clickhouse_http, database=self.database)


def spec_for(topic: str) -> StreamSpec:
    """The camera stream as it is, but for its topic."""
    return replace(load_streams()[STREAM], topic=topic)


def create_database(target: Target) -> None:
    """All tables and views, in the target's own database."""
    migrate(target.native, load_streams().values())


def drop_database(target: Target) -> None:
    """Leave nothing behind."""
    session = Session(replace(target.native, database=""))
    try:
        session.query("bench", f"DROP DATABASE IF EXISTS {target.database} SYNC")
    finally:
        session.close()


def query(target: Target, sql: str) -> list[dict[str, Any]]:
    """Rows as dicts, by HTTP."""
    text = f"{sql} SETTINGS output_format_json_quote_64bit_integers = 0"
    answer = b"".join(stream_query(target.http, text, "JSONEachRow"))
    return [orjson.loads(line) for line in answer.splitlines()]


def windows_csv(target: Target) -> Iterator[bytes]:
    """camera_id, window start in ms, events, sum of speeds, highest speed."""
    settings = "SETTINGS format_csv_delimiter = ',', do_not_merge_across_partitions_select_final = 1"
    for piece in stream_query(target.http, f"{_WINDOWS} {settings}", "CSV"):
        yield piece.replace(b'"', b"")


class Worker:
    """One worker process. A context manager; leaving it stops the worker."""

    def __init__(
        self,
        target: Target,
        work: Path,
        number: int = 0,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] = NOTHING,
    ) -> None:
        self.target = target
        self.log = work / f"worker-{number}.log"
        self._status = work / f"worker-{number}.json"
        self._began = work / f"worker-{number}.began"
        self._prefix = prefix
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        t = self.target
        asked = ["--brokers", t.brokers, "--topic", t.topic, "--clickhouse", t.clickhouse]
        asked += ["--database", t.database, "--flush-ms", str(t.flush_ms), "--status", str(self._status)]
        asked += ["--began", str(self._began)]
        # of a worker before this one
        for told in (self._status, self._began):
            told.unlink(missing_ok=True)
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                tethered([*self._prefix, sys.executable, "-m", "tests.bench.worker", *asked]),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=ROOT,
                env={**os.environ, **self._environment},
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        if self._process is None:
            raise WorkerError("the worker was not started")
        return self._process.pid

    def kill(self) -> None:
        """End it as kill -9 does; its log and status stay."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def status(self) -> dict[str, Any]:
        """What the worker last said of itself; {} before it said anything."""
        return read_status(self._status)

    def has_begun(self) -> bool:
        """Whether `began` can be told."""
        return self._began.exists() and self._began.stat().st_size > 0

    def began(self) -> tuple[float, float]:
        """Processor seconds used, and the monotonic clock, when the worker had not yet read an event."""
        cpu, at = self._began.read_text(encoding="ascii").split()
        return float(cpu), float(at)

    def wait_ready(self) -> None:
        """Wait until the worker has its partitions."""
        self.wait(lambda: self.status().get("state") == "ready", READY_SECONDS, "not ready")

    def wait_folded(self, events: int, seconds: float) -> None:
        """Wait until so many events are folded and in ClickHouse."""
        self.wait(
            lambda: self.status().get("folded", 0) >= events, seconds, f"has not folded {events:,} events"
        )
        wait_stored(self.target, events, seconds)

    def wait(self, true: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait until something is true of the worker. Raises WorkerError when it is not, or ends."""
        deadline = time.monotonic() + seconds
        while not true():
            if self._process is None or self._process.poll() is not None:
                raise WorkerError(f"the worker ended{last_lines(self.log)}")
            if time.monotonic() > deadline:
                raise WorkerError(f"the worker {otherwise} after {seconds:.0f} s{last_lines(self.log)}")
            time.sleep(LOOK_SECONDS)


def read_status(path: Path) -> dict[str, Any]:
    """What a worker last said of itself; {} before it said anything."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def wait_stored(target: Target, events: int, seconds: float) -> None:
    """Wait until ClickHouse accounts for so many events. Raises WorkerError when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        (found,) = query(target, _ACCOUNTED)
        if found["other"]:
            raise WorkerError(f"{found['other']} events were not folded as new and on time")
        if found["folded"] >= events:
            return
        if time.monotonic() > deadline:
            raise WorkerError(f"ClickHouse accounts for {found['folded']:,} of {events:,} events")
        time.sleep(LOOK_SECONDS)
