"""The faults of a random run: each begins at once, and names when it will be over."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

from infra.stack.process.service import last_lines
from infra.stack.stack import Stack
from streams.worker.app import EXIT_HELP
from streams.worker.failpoints import ALL_FAILPOINTS
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.readings import READINGS
from tests.chaos.rig import Rig
from tests.chaos.workers import Worker

TABLES = (*(r.table for r in READINGS.values()), "pane_ids", "late_events", "dead_letters", "progress")
# how often each fault is chosen, against the others
WEIGHTS = {
    "worker killed": 6,
    "worker killed at a failpoint": 5,
    "worker frozen beyond its session": 3,
    "worker stopped": 2,
    "worker added or removed": 2,
    "ClickHouse killed": 2,
    "ClickHouse killed between insert and answer": 2,
    "ClickHouse away": 2,
    "connection swallowed": 1,
    "connection reset": 2,
    "half an answer": 2,
    "broker killed": 1,
    "broker restarted": 1,
}


STOP_S = 20.0


class WorkerStoppedError(Exception):
    """A worker stopped until somebody has acted, which no fault here calls for."""


class Mayhem:
    """Begins faults, and ends them when `tend` is called late enough; times in seconds of a steady clock."""

    def __init__(self, rig: Rig, stack: Stack, rng: Random, workers: int) -> None:
        self._rig, self._stack, self._rng = rig, stack, rng
        self._workers = workers
        self._due: list[tuple[float, Callable[[], object]]] = []
        self._down: set[Worker] = set()  # dead, and to be started again at a time that is set
        self._doomed: set[Worker] = set()  # may kill themselves at a failpoint
        self._leaving: dict[Worker, float] = {}  # asked to stop, and when that must have happened
        self.faults: Counter[str] = Counter()
        self.unasked: list[str] = []
        self.ready_s: list[float] = []

    def start(self) -> None:
        """Start the workers."""
        self._rig.start_workers(self._workers)

    def begin(self, now: float) -> str:
        """One fault more; its name."""
        (name,) = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        self._faults()[name](now)
        self.faults[name] += 1
        return name

    def tend(self, now: float) -> None:
        """End what is due, and start workers again that have died. Raises WorkerStoppedError."""
        due = [act for at, act in self._due if at <= now]
        self._due = [(at, act) for at, act in self._due if at > now]
        for act in due:
            act()
        for worker, deadline in list(self._leaving.items()):
            self._see_off(worker, deadline, now)
        self.ready_s += [s for worker in self._rig.workers if (s := worker.newly_ready()) is not None]
        for worker in self._rig.workers:
            if not worker.pid or worker.alive or worker in self._down:
                continue
            if worker.exit_code == EXIT_HELP:
                raise WorkerStoppedError(f"{worker.name} has stopped{last_lines(worker.log)}")
            if worker not in self._doomed:
                self.unasked.append(f"{worker.name}: exit code {worker.exit_code}")
            self._start_later(worker, now, 0.5)

    def _see_off(self, worker: Worker, deadline: float, now: float) -> None:
        """A worker that was asked to stop: start it again when it has."""
        if worker.alive and now < deadline:
            return
        if worker.alive or worker.exit_code:
            self.unasked.append(
                f"{worker.name}: exit code {worker.exit_code} after SIGTERM, {STOP_S:.0f} s ago"
            )
        worker.kill()
        self._start(worker)

    def heal(self) -> None:
        """End all faults now, with all workers present."""
        for _, act in sorted(self._due, key=lambda item: item[0]):
            act()
        self._due = []
        for proxy in self._rig.proxies.values():
            proxy.disarm()
            _cure(proxy)
        for worker in self._leaving:
            worker.kill()
        for worker in self._rig.workers:
            if worker.suspended:
                worker.wake()
            if not worker.alive:
                self._start(worker)

    def _faults(self) -> dict[str, Callable[[float], object]]:
        return {
            "worker killed": self._kill_workers,
            "worker killed at a failpoint": self._doom,
            "worker frozen beyond its session": self._freeze,
            "worker stopped": self._stop,
            "worker added or removed": self._resize,
            "ClickHouse killed": lambda _: self._signal("clickhouse", signal.SIGKILL),
            "ClickHouse killed between insert and answer": self._spoil_insert,
            "ClickHouse away": lambda now: self._misbehave(now, "refuse", everywhere=True),
            "connection swallowed": lambda now: self._misbehave(now, "swallow"),
            "connection reset": self._reset,
            "half an answer": lambda now: self._misbehave(now, "half"),
            "broker killed": lambda _: self._signal("broker", signal.SIGKILL),
            "broker restarted": lambda _: self._signal("broker", signal.SIGTERM),
        }

    def _later(self, now: float, seconds: float, act: Callable[[], object]) -> None:
        self._due.append((now + seconds, act))

    def _start(self, worker: Worker, **settings: object) -> None:
        self._down.discard(worker)
        self._doomed.discard(worker)
        self._leaving.pop(worker, None)
        worker.start((), **settings)

    def _start_later(self, worker: Worker, now: float, seconds: float) -> None:
        self._down.add(worker)
        self._later(now, seconds, lambda: self._start(worker) if not worker.alive else None)

    def _alive(self) -> list[Worker]:
        return [w for w in self._rig.workers if w.alive and w not in self._leaving]

    def _some(self) -> list[Worker]:
        alive = self._alive()
        return self._rng.sample(alive, 1) if alive else []

    def _kill_workers(self, now: float) -> None:
        alive = self._alive()
        for worker in self._rng.sample(alive, min(len(alive), self._rng.choice((1, 1, 1, 2, 3)))):
            worker.kill()
            self._start_later(worker, now, self._rng.uniform(0, 3))

    def _doom(self, _now: float) -> None:
        """Start a worker again so that it kills itself at a failpoint that it passes."""
        for worker in self._some():
            worker.kill()
            point, count = self._rng.choice(ALL_FAILPOINTS), self._rng.randint(1, 30)
            self._start(worker, failpoints=f"{point}@{count}=kill")
            self._doomed.add(worker)

    def _freeze(self, now: float) -> None:
        for worker in self._some():
            worker.stop()
            session_s = self._rig.times.session_ms / 1000
            self._later(now, session_s * self._rng.uniform(1.2, 3), worker.wake)

    def _stop(self, now: float) -> None:
        for worker in self._some():
            if not worker.suspended:
                worker.ask_to_stop()
                self._leaving[worker] = now + STOP_S

    def _resize(self, now: float) -> None:
        """Leave a worker out for a while."""
        for worker in self._some():
            worker.kill()
            self._start_later(worker, now, self._rng.uniform(5, 20))

    def _spoil_insert(self, now: float) -> None:
        for worker in self._some():
            proxy = self._rig.proxies[worker.name]
            deadly = self._rng.random() < 0.5
            kill = (lambda: self._signal("clickhouse", signal.SIGKILL)) if deadly else (lambda: None)
            proxy.spoil_insert(self._rng.choice(TABLES), self._rng.choice(("swallow", "reset", "half")), kill)
            self._later(now, 15, proxy.disarm)

    def _misbehave(self, now: float, mode: Mode, *, everywhere: bool = False) -> None:
        names = list(self._rig.proxies)
        for name in names if everywhere else self._rng.sample(names, 1):
            proxy = self._rig.proxies[name]
            proxy.behave(mode)
            proxy.reset()

            self._later(now, self._rng.uniform(0.5, 15), partial(_cure, proxy))

    def _reset(self, _now: float) -> None:
        for proxy in self._rig.proxies.values():
            proxy.reset()

    def _signal(self, name: str, number: signal.Signals) -> None:
        if (pid := self._stack.pid(name)) is not None:
            os.kill(pid, number)


def _cure(proxy: Proxy) -> None:
    """Pass all on again; what was swallowed is missing on its connections for good, so they end."""
    proxy.behave("pass")
    proxy.reset()
