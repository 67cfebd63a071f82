"""The local stack: Kafka and ClickHouse on ports of this machine, with one home directory.

with Stack(home) as stack:
    stack.brokers, stack.clickhouse, stack.clickhouse_http
"""

import fcntl
import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.setup.progress import SetupProgress
from infra.setup.store import cache_directory
from infra.stack.clickhouse.guard import guard_service
from infra.stack.clickhouse.server import engine_service
from infra.stack.kafka.broker import HEAP, broker_service
from infra.stack.kafka.warm import class_archive
from infra.stack.parts import Parts, require_parts
from infra.stack.process.children import Children
from infra.stack.process.ports import Reservation, reserve
from infra.stack.process.service import Running, Service
from infra.stack.process.state import end, processes, read_state

READY_SECONDS = 120.0
NAMES = ("clickhouse", "guard", "broker")
PORTS_FILE = "ports.json"


class AlreadyRunningError(Exception):
    """Another process runs a stack in the same home."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Preferred ports; others are taken when these are not free."""

    broker: int = 9092
    clickhouse: int = 9000
    clickhouse_http: int = 8123


class Stack:
    """Kafka and ClickHouse as children of this process; gone when it is, however it ends.

    Ports, once chosen, are remembered in the home, and kept while they are free.
    """

    def __init__(
        self,
        home: Path,
        *,
        cache: Path | None = None,
        ports: Ports | None = None,
        heap: str = HEAP,
        progress: SetupProgress | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.home = home.absolute()
        self._cache = cache or cache_directory(os.environ)
        self._wanted = ports or Ports()
        self._heap = heap
        self._progress = progress or SetupProgress()
        self._changed = changed
        self._lock: int | None = None
        self._ports: dict[str, Reservation] = {}
        self._children: Children | None = None

    @property
    def brokers(self) -> str:
        """Kafka's host:port."""
        return self._ports["broker"].address

    @property
    def clickhouse(self) -> str:
        """ClickHouse's native protocol, host:port."""
        return self._ports["clickhouse"].address

    @property
    def clickhouse_http(self) -> str:
        """ClickHouse's HTTP, host:port."""
        return self._ports["clickhouse_http"].address

    def addresses(self) -> dict[str, str]:
        """The three addresses by name."""
        names = ("brokers", "clickhouse", "clickhouse_http")
        return {name: getattr(self, name) for name in names}

    def running(self) -> list[Running]:
        """The children that have a process now: broker, clickhouse, guard."""
        return self._children.running() if self._children else []

    def pid(self, name: str) -> int | None:
        """The process id of `broker`, `clickhouse` or `guard`, None while it has none."""
        return next((r.pid for r in self.running() if r.name == name), None)

    def begin(self) -> None:
        """Fetch what is missing, choose ports and start the children, without waiting for them.

        Raises SetupError, AlreadyRunningError, PortError.
        """
        parts = require_parts(self._cache, self._progress)
        (self.home / "run").mkdir(parents=True, exist_ok=True)
        self._lock = _lock_home(self.home)
        # the lock is ours: what a killed supervisor has left is dying, and must let go of its ports
        end(processes(read_state(self.home)))
        self._reserve()
        self._children = Children(self._changed)
        archive = class_archive(self._cache, parts.java, parts.jars, self._progress)
        self._children.start(self._services(parts, archive))

    def wait_ready(self, timeout: float = READY_SECONDS, names: Collection[str] = NAMES) -> None:
        """Wait until both answer. Raises ChildError, with the end of a log, when one does not."""
        if self._children:
            self._children.wait_ready(names, timeout)

    def add(self, services: Sequence[Service]) -> None:
        """Start more children, without waiting for them; they are stopped before Kafka and ClickHouse."""
        if self._children:
            self._children.start(services)

    def start(self) -> None:
        """`begin`, then `wait_ready`; nothing is left running when that fails."""
        try:
            self.begin()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self, before_unlock: Callable[[], None] = lambda: None) -> None:
        """Stop the children and wait until they are gone; another may run a stack in this home after that."""
        if self._children:
            self._children.stop()
            self._children = None
        for port in self._ports.values():
            port.close()
        self._ports = {}
        if self._lock is not None:
            before_unlock()
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.stop()

    def _reserve(self) -> None:
        remembered = self.home / "run" / PORTS_FILE
        try:
            former = json.loads(remembered.read_text(encoding="ascii"))
        except (OSError, ValueError):
            former = {}
        wanted = {
            "broker": self._wanted.broker,
            "clickhouse": self._wanted.clickhouse,
            "clickhouse_http": self._wanted.clickhouse_http,
            "controller": None,
            "engine": None,
        }
        for name, preferred in wanted.items():
            self._ports[name] = reserve([p for p in (former.get(name), preferred) if isinstance(p, int)])
        remembered.write_text(json.dumps({n: r.port for n, r in self._ports.items()}), encoding="ascii")

    def _services(self, parts: Parts, archive: Path | None) -> Sequence[Service]:
        port = {name: reservation.port for name, reservation in self._ports.items()}
        return [
            engine_service(self.home, parts.engine, port["engine"], port["clickhouse_http"]),
            guard_service(self.home, port["clickhouse"], port["engine"], port["clickhouse_http"]),
            broker_service(
                self.home,
                parts.java,
                parts.jars,
                port["broker"],
                port["controller"],
                heap=self._heap,
                archive=archive,
            ),
        ]


def _lock_home(home: Path) -> int:
    descriptor = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise AlreadyRunningError(f"a stack is running in {home} already: see `songlo status`") from None
    return descriptor
