"""A stack with workers that are ill-treated, traffic to fold, and an oracle that looks on."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, Self
from uuid import uuid4

from infra.kafka.access import KafkaFailureError
from infra.kafka.admin import Admin
from infra.kafka.topics import apply, plan
from infra.settings.values import Settings
from infra.stack.process.service import last_lines
from sinks.clickhouse import ClickHouseAccess
from sinks.migrate import migrate
from sinks.query import stream_query
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.sink import SinkUnavailable
from tests.chaos.feed import Feed
from tests.chaos.hostile import UNPACK_MB, Raw
from tests.chaos.log import Place, read_log
from tests.chaos.nursery import Nursery
from tests.chaos.oracle import Oracle
from tests.chaos.proxy import Proxy
from tests.chaos.readings import READINGS
from tests.chaos.stored import stored_homes, stored_positions
from tests.chaos.traffic import Message
from tests.chaos.verdict import Verdict, judge
from tests.chaos.watch import Watch
from tests.chaos.workers import Worker, WorkerGoneError

HEALED_S = 120.0


class NotCaughtUpError(Exception):
    """Lag is left after the time in which it must be gone."""


class Addresses(Protocol):
    """Where the stack is, each host:port."""

    @property
    def brokers(self) -> str: ...
    @property
    def clickhouse(self) -> str: ...
    @property
    def clickhouse_http(self) -> str: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Short ones, so that a run of seconds meets what takes a city minutes."""

    window_s: int = 60
    disorder_s: int = 120
    skew_s: int = 300
    flush_ms: int = 100
    session_ms: int = 1000
    metadata_ms: int = 1000
    clickhouse_s: int = 1
    recheck_s: int = 1


class Rig:
    """A database and a consumer group of its own on a running stack; a context manager.

    Each worker reaches ClickHouse through a proxy of its own: `proxies[name]`.
    """

    def __init__(
        self,
        stack: Addresses,
        nursery: Nursery,
        directory: Path,
        *,
        partitions: int = 3,
        times: Times | None = None,
        by_row: bool = True,
    ) -> None:
        self.stack = stack
        self._nursery = nursery
        self.times = times or Times()
        self.name = f"chaos_{uuid4().hex[:10]}"
        self.directory = directory / self.name
        self.settings = Settings(
            home=self.directory,
            brokers=stack.brokers,
            clickhouse=stack.clickhouse,
            clickhouse_http=stack.clickhouse_http,
            clickhouse_database=self.name,
            group=self.name,
            partitions=partitions,
        )
        self.server = ClickHouseAccess.at(stack.clickhouse_http, database=self.name)
        self.workers: list[Worker] = []
        self.proxies: dict[str, Proxy] = {}
        self.watch = Watch(self.server, by_row)
        self._feeds: list[Feed] = []
        # what was compared, and the failpoints that were seen to act: for reports
        self.verdicts: list[Verdict] = []
        self.hits: list[str] = []

    @property
    def topics(self) -> list[str]:
        """Those that the oracle knows."""
        return list(READINGS)

    def __enter__(self) -> Self:
        specs = load_streams().values()
        with Admin(KafkaAccess.at(self.stack.brokers)) as admin:
            apply(admin, plan(specs, admin.topics([s.topic for s in specs]), self.settings), 1)
        migrate(ClickHouseAccess.at(self.stack.clickhouse, database=self.name), specs)
        self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.stop()
        for worker in self.workers:
            worker.kill()
        for proxy in self.proxies.values():
            proxy.close()
        for feed in self._feeds:
            with contextlib.suppress(Exception):
                feed.stop()

    def worker(self) -> Worker:
        """One more worker, not started yet."""
        name = f"worker-{len(self.workers) + 1}"
        proxy = Proxy(self.stack.clickhouse)
        proxy.__enter__()
        self.proxies[name] = proxy
        times = self.times
        environ = {
            "SONGLO_HOME": str(self.directory),
            "SONGLO_BROKERS": self.stack.brokers,
            "SONGLO_CLICKHOUSE": proxy.address,
            "SONGLO_CLICKHOUSE_HTTP": self.stack.clickhouse_http,
            "SONGLO_CLICKHOUSE_DATABASE": self.name,
            "SONGLO_CLICKHOUSE_SECONDS": str(times.clickhouse_s),
            "SONGLO_GROUP": self.name,
            "SONGLO_WINDOW_SECONDS": str(times.window_s),
            "SONGLO_DISORDER_SECONDS": str(times.disorder_s),
            "SONGLO_SKEW_SECONDS": str(times.skew_s),
            "SONGLO_FLUSH_MS": str(times.flush_ms),
            "SONGLO_SESSION_MS": str(times.session_ms),
            "SONGLO_METADATA_MS": str(times.metadata_ms),
            "SONGLO_RECHECK_SECONDS": str(times.recheck_s),
            "SONGLO_UNPACK_MB": str(UNPACK_MB),
        }
        worker = Worker(self._nursery, name, self.directory / "workers", environ)
        self.workers.append(worker)
        return worker

    def start_workers(self, count: int = 1, **settings: object) -> Sequence[Worker]:
        """Start some more workers, and wait until they are ready."""
        started = [self.worker() for _ in range(count)]
        for worker in started:
            worker.start((), **settings)
        for worker in started:
            worker.wait_ready()
        return started

    def feed(self, messages: Iterable[Message | Raw], rate: float = 0) -> Feed:
        """Send traffic; the rate is in messages a second, 0 as fast as it goes."""
        feed = Feed(self.stack.brokers, messages, rate)
        self._feeds.append(feed)
        return feed

    def ask(self, sql: str) -> None:
        """Run a statement without an answer."""
        for _ in stream_query(self.server, sql):
            pass

    def positions(self) -> dict[Place, int]:
        """The next offset of every partition, as stored. Raises SinkError."""
        return stored_positions(self.server)

    def lag(self) -> dict[Place, int]:
        """Messages not yet accounted for, by partition. Raises KafkaFailureError, SinkError."""
        # asked first: what a position accounts for has been sent home by then
        stored = self.positions()
        with Admin(KafkaAccess.at(self.stack.brokers)) as admin:
            starts, ends = admin.starts(self.topics), admin.ends(self.topics)
        behind = {place: end - stored.get(place, starts[place]) for place, end in ends.items()}
        return {place: lag for place, lag in behind.items() if lag > 0}

    def wait_caught_up(self, timeout_s: float = HEALED_S) -> float:
        """Wait until nothing is left to fold, strays at home among it; the seconds that it took.

        Raises NotCaughtUpError, WorkerGoneError when no worker is left to do it.
        """
        began = time.monotonic()
        while True:
            lag: dict[Place, int] = {}
            with contextlib.suppress(SinkUnavailable, KafkaFailureError):
                lag = self.lag()
                if not lag:
                    return time.monotonic() - began
            logs = "".join(last_lines(w.log) for w in self.workers)
            if not any(w.alive for w in self.workers):
                raise WorkerGoneError(f"no worker is left, {lag} to fold{logs}")
            if time.monotonic() - began > timeout_s:
                raise NotCaughtUpError(f"{lag or 'unknown lag'} left after {timeout_s:.0f} s{logs}")
            time.sleep(0.1)

    def oracle(self, begin: dict[Place, int] | None = None) -> Oracle:
        """One that has read the log."""
        oracle = self.new_oracle()
        truths = {tag: truth for feed in self._feeds for tag, truth in feed.truths.items()}
        for record in read_log(self.stack.brokers, self.topics, begin, truths=truths):
            oracle.feed(record)
        return oracle

    def new_oracle(self) -> Oracle:
        """One that has read nothing, of the homes that are decided by now."""
        times, homes = self.times, stored_homes(self.server)
        return Oracle(times.window_s * 1000, times.disorder_s * 1000, times.skew_s * 1000, homes)

    def judge(self, timeout_s: float = HEALED_S) -> Verdict:
        """Wait until all is folded, then compare all that is stored with the log."""
        while True:
            self.wait_caught_up(timeout_s)
            ends = self._ends()
            verdict = judge(self.oracle(), self.server)
            # a worker that has slept may have sent home once more what it had in its hands
            if ends == self._ends():
                break
        verdict.wrong_rows += self.watch.look()
        self.verdicts.append(verdict)
        return verdict

    def _ends(self) -> dict[Place, int]:
        with Admin(KafkaAccess.at(self.stack.brokers)) as admin:
            return admin.ends(self.topics)


def eventually(what: Callable[[], object], timeout_s: float = 30.0, pause_s: float = 0.03) -> None:
    """Wait until `what` answers yes. Raises TimeoutError with its name."""
    deadline = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {timeout_s:g} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(pause_s)
