"""Children of one process: started, watched, restarted when they die, stopped in order.

All of them are started by one thread, since Linux ties a child to the thread that started it (see tether.py).
"""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from infra.stack.process.service import ROOT, ChildError, Running, Service, last_lines, rotate, tethered

TICK_SECONDS = 0.1
CHECK_SECONDS = 2.0
CALM_SECONDS = 30.0
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.2, 10.0

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Child:
    service: Service
    process: "subprocess.Popen[bytes] | None" = None
    ready: bool = False
    proven: bool = False  # it was ready once
    done: bool = False
    deaths: int = 0  # since it last ran for a while
    restarts: int = 0
    ended: str = ""  # how it died last
    failure: str = ""  # why it has never been ready, after several tries
    started_at: float = 0.0
    start_at: float = 0.0
    checked_at: float = 0.0
    well_at: float = 0.0


class Children:
    """Keeps services running until `stop`.

    `changed` is called, from the watching thread, when a process or its health has changed.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._children: list[_Child] = []
        self._changed = changed
        self._stopping = threading.Event()
        self._news = threading.Condition()
        self._failure = ""
        self._thread = threading.Thread(target=self._watch, name="children", daemon=True)

    def start(self, services: Sequence[Service]) -> None:
        """Start services, without waiting for them."""
        self._children = [*self._children, *(_Child(s) for s in services)]
        if self._thread.ident is None:
            self._thread.start()

    def wait_ready(self, names: Collection[str], timeout: float) -> None:
        """Wait until these children are well.

        Raises ChildError when any child can't start, or when the time is over.
        """
        waited = [c for c in self._children if c.service.name in names]
        with self._news:
            self._news.wait_for(
                lambda: self._failure or any(c.failure for c in waited) or all(c.ready for c in waited),
                timeout,
            )
        if self._failure:
            raise ChildError(self._failure)
        for child in waited:
            if not child.ready:
                name, output = child.service.name, child.service.log
                how = (
                    f"does not start ({child.failure})"
                    if child.failure
                    else f"is not ready after {timeout:.0f} s"
                )
                raise ChildError(f"{name} {how}{last_lines(output)}")

    def running(self) -> list[Running]:
        """The children that have a process now, in the order of their start."""
        return [
            Running(c.service.name, process.pid, c.ready, c.restarts, c.ended)
            for c in self._children
            if (process := c.process) is not None
        ]

    def stop(self) -> None:
        """Stop all, the last started first, and wait until they are gone."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                for child in self._children:
                    self._attend(child, time.monotonic())
                self._stopping.wait(TICK_SECONDS)
        except Exception as e:  # without this thread there is no supervision: say so to who waits
            log.exception("supervision failed")
            self._failure = f"supervision failed: {e}"
            self._tell()
        finally:
            _end_all(self._children)

    def _attend(self, child: _Child, now: float) -> None:
        if child.process is None:
            if not child.done and now >= child.start_at:
                self._spawn(child)
        elif (code := child.process.poll()) is not None:
            self._bury(child, code, now)
        elif now - child.checked_at >= (CHECK_SECONDS if child.ready else TICK_SECONDS):
            child.checked_at = now
            self._check(child, child.process, now)

    def _spawn(self, child: _Child) -> None:
        service = child.service
        try:
            rotate(service.log)
            service.prepare()
            with service.log.open("ab") as out:
                child.process = subprocess.Popen(
                    tethered(service.command),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    cwd=ROOT,
                    env={**os.environ, **service.environ},
                    start_new_session=True,  # Ctrl-C is for the parent, who stops them in order
                )
        except (OSError, ChildError) as e:
            log.warning("%s can't be started: %s", service.name, e)
            self._put_off(child, time.monotonic(), str(e))
            return
        child.started_at = child.well_at = time.monotonic()
        self._changed()

    def _bury(self, child: _Child, code: int, now: float) -> None:
        service = child.service
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        meaning = service.statuses.get(code)
        how = f"{how}: {meaning}" if meaning else how
        child.process, was_ready, child.ready = None, child.ready, False
        if service.once and code == 0:
            child.done = True
        else:
            if was_ready and now - child.started_at >= CALM_SECONDS and not meaning:
                child.deaths = 0
            child.restarts += 1
            child.ended = how
            self._put_off(child, now, how, fatal=code == service.fatal_status)
            log.warning("%s ended (%s); starting it again in %.1f s", service.name, how, child.start_at - now)
        self._changed()

    def _put_off(self, child: _Child, now: float, how: str, *, fatal: bool = False) -> None:
        child.deaths += 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(child.deaths - 1, 10))
        child.start_at = now + (LONGEST_DELAY_SECONDS if fatal else delay)
        if fatal or (child.deaths >= child.service.give_up_after and not child.proven):
            child.failure = how  # it is tried again all the same: what it lacks may come
            self._tell()

    def _check(self, child: _Child, process: "subprocess.Popen[bytes]", now: float) -> None:
        hung = child.service.hung_seconds
        if child.service.well(process.pid):
            child.well_at = now
            if not child.ready:
                child.ready = child.proven = True
                child.failure = ""
                self._changed()
                self._tell()
        elif hung is not None and now - child.well_at > hung:
            log.warning("%s has not answered for %.0f s; killing it", child.service.name, now - child.well_at)
            process.kill()

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()


def _end_all(children: Sequence[_Child]) -> None:
    """Stop the last started first; those of one kind, as workers are, together."""
    left = [c for c in reversed(children) if c.process is not None]
    while left:
        kind = left[0].service.name.partition("-")[0]
        group = [c for c in left if c.service.name.partition("-")[0] == kind]
        for child in group:
            if child.process is not None:
                child.process.send_signal(child.service.stop_signal)
        for child in group:
            _await_end(child)
        left = [c for c in left if c not in group]


def _await_end(child: _Child) -> None:
    process, service = child.process, child.service
    if process is None:
        return
    try:
        process.wait(service.grace_seconds)
    except subprocess.TimeoutExpired:
        log.warning("%s does not stop within %.0f s; killing it", service.name, service.grace_seconds)
        process.kill()
        process.wait()
    child.process, child.ready = None, False
