"""The whole of a home: Kafka, ClickHouse, workers and the demo, and the file that says so."""

import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.stack.process.service import Running, Service
from infra.stack.process.state import identified, remove_state, write_state
from infra.stack.stack import Stack

WORKER_READY_SECONDS = 120.0
WORKER_STOP_SECONDS = 25.0
PUBLISH_SECONDS = 0.5

log = logging.getLogger(__name__)


class Supervisor:
    """Starts the parts in their order, keeps them running, and publishes them in the home's state file.

    `make_tables` runs when ClickHouse answers, `make_topics` when Kafka does, before the workers start; both
    are given the addresses as SONGLO_* variables.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        workers: int,
        make_tables: Callable[[Mapping[str, str]], None],
        make_topics: Callable[[Mapping[str, str]], None],
        say: Callable[[str], None],
    ) -> None:
        self._stack = stack
        self._workers = workers
        self._make_tables = make_tables
        self._make_topics = make_topics
        self._say = say
        self._phase = "starting"
        self._published: dict[str, Any] = {}
        self._publishing = threading.Lock()
        self._stop = threading.Event()
        self._publisher = threading.Thread(target=self._keep_publishing, name="publisher", daemon=True)

    @property
    def environ(self) -> dict[str, str]:
        """The addresses as settings, for children and in-process commands."""
        return {
            "SONGLO_HOME": str(self._stack.home),
            "SONGLO_BROKERS": self._stack.brokers,
            "SONGLO_CLICKHOUSE": self._stack.clickhouse,
            "SONGLO_CLICKHOUSE_HTTP": self._stack.clickhouse_http,
        }

    def start(self) -> None:
        """Start all and wait until the workers are ready.

        Raises ChildError, with the end of a log, when a part does not come up, and what Stack.begin raises.
        """
        self._stack.begin()
        self.publish()
        self._publisher.start()
        self._stack.wait_ready(names=("clickhouse", "guard"))
        self._say(f"ClickHouse {self._stack.clickhouse} (native), http://{self._stack.clickhouse_http}")
        self._make_tables(self.environ)
        self._stack.wait_ready()
        self._say(f"Kafka {self._stack.brokers}")
        self._make_topics(self.environ)
        services = [self._worker(number) for number in range(1, self._workers + 1)]
        self._stack.add(services)
        self._stack.wait_ready(WORKER_READY_SECONDS, [s.name for s in services])
        self._say(f"{self._workers} worker{'s' if self._workers != 1 else ''} ready")
        self._phase = "running"
        self.publish()

    def run_demo(self) -> None:
        """Start the demo as one more child; when it has ended by itself it is done."""
        self._stack.add(
            [
                Service(
                    name="demo",
                    command=[sys.executable, "-m", "infra.demo.run"],
                    log=self._stack.home / "log" / "demo.log",
                    environ=self.environ,
                    grace_seconds=10.0,
                    once=True,
                )
            ]
        )

    def stop(self) -> None:
        """Stop all and wait until it is gone."""
        self._phase = "stopping"
        self._stop.set()
        if self._publisher.ident is not None:
            self._publisher.join()
            with contextlib.suppress(OSError):
                self.publish()
        self._stack.stop(lambda: remove_state(self._stack.home))

    def publish(self) -> None:
        """Write the state file when it has changed."""
        with self._publishing:
            state = self._state(self._stack.running())
            if state != self._published:
                write_state(self._stack.home, state)
                self._published = state

    def _keep_publishing(self) -> None:
        while not self._stop.wait(PUBLISH_SECONDS):
            try:
                self.publish()
            except OSError as e:  # a full disk must not end the supervision
                log.warning("the state can't be written: %s", e)

    def _state(self, running: Sequence[Running]) -> dict[str, Any]:
        by_name = {r.name: r for r in running}

        def part(name: str, **more: object) -> dict[str, object]:
            child = by_name.get(name)
            found = (
                {**identified(child.pid), "ready": child.ready} if child else {"pid": None, "ready": False}
            )
            return {**more, **found}

        stack = self._stack
        state: dict[str, Any] = {
            "state": self._phase,
            "supervisor": identified(os.getpid()),
            "broker": part("broker", address=stack.brokers),
            "clickhouse": part("clickhouse", native=stack.clickhouse, http=stack.clickhouse_http),
            "guard": part("guard"),
            "workers": [
                {
                    "name": r.name,
                    **identified(r.pid),
                    "state": worker_state(self._status_file(r.name), r.pid),
                    "paused": paused_streams(self._status_file(r.name), r.pid),
                    "strays": strays_sent(self._status_file(r.name), r.pid),
                    "restarts": r.restarts,
                    "ended": r.ended,
                }
                for r in running
                if r.name.startswith("worker-")
            ],
        }
        return {**state, "demo": part("demo")} if "demo" in by_name else state

    def _worker(self, number: int) -> Service:
        name = f"worker-{number}"
        status, log_file = self._status_file(name), self._stack.home / "log" / f"{name}.log"
        return Service(
            name=name,
            command=[sys.executable, "-m", "infra.cli", "worker", "--status", str(status)],
            log=log_file,
            environ=self.environ,
            well=lambda pid: worker_state(status, pid) == "ready",
            grace_seconds=WORKER_STOP_SECONDS,
            fatal_status=3,  # as `songlo worker --help` says
            statuses={4: f"it stood still, the stacks of its threads are in {log_file}"},
            hung_seconds=None,  # waiting for ClickHouse is right, and one that hangs leaves by itself
        )

    def _status_file(self, name: str) -> Path:
        return self._stack.home / "run" / f"{name}.json"


def worker_state(status: Path, pid: int) -> str:
    """What the worker with this pid says of itself; `starting` as long as it says nothing."""
    return str(_said(status, pid).get("state", "starting"))


def paused_streams(status: Path, pid: int) -> list[str]:
    """The streams that the worker with this pid does not fold, because a breaker has paused them."""
    return [str(name) for name in _said(status, pid).get("paused", [])]


def strays_sent(status: Path, pid: int) -> dict[str, int]:
    """Events that the partitions of the worker with this pid have sent to their homes, by stream."""
    told = _said(status, pid).get("strays")
    return {str(stream): int(count) for stream, count in told.items()} if isinstance(told, dict) else {}


def _said(status: Path, pid: int) -> dict[str, Any]:
    try:
        said = json.loads(status.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) and said.get("pid") == pid else {}
