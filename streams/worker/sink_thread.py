"""All calls of the sink come from one thread of their own: they block, and its client is not thread-safe."""

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from streams.sink import SinkUnavailable
from streams.worker.waiting import Insistence

# a flush has its time-outs; one that takes longer than this hangs
LONGEST_CALL_S = 1800.0

T = TypeVar("T")
_Job = tuple["Future[object]", Callable[[], object]]


class SinkThread:
    """Runs blocking calls one after the other; a daemon, so that a call that hangs can't hold up the exit."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._insistence = Insistence("the sink", (SinkUnavailable,))
        self._called_at: float | None = None
        self._thread = threading.Thread(target=self._work, name="sink", daemon=True)
        self._thread.start()

    async def call(self, job: Callable[[], T]) -> T:
        """The result of the job, or what it raised."""
        future: Future[T] = Future()
        self._jobs.put((future, job))  # type: ignore[arg-type] # a Future is invariant in its result
        return await asyncio.wrap_future(future)

    async def until_done(
        self, attempt: Callable[[], Awaitable[T]], what: str, unless: Callable[[], bool] = lambda: False
    ) -> T:
        """The result of an attempt that may make several calls, tried again for ever while the sink is away.

        Raises SinkUnavailable only when `unless` says that the result is no longer wanted.
        """
        return await self._insistence.until_done(attempt, what, unless)

    async def retry_until_available(
        self, job: Callable[[], T], what: str, unless: Callable[[], bool] = lambda: False
    ) -> T:
        """The result of the job, as of an attempt with this one call."""
        return await self.until_done(lambda: self.call(job), what, unless)

    @property
    def away(self) -> bool:
        """Whether the last call that was insisted on has failed."""
        return self._insistence.away

    def holds_up(self, now_s: float) -> bool:
        """Whether the sink is away, or a call is under way that may take so long; any thread may ask."""
        called_at = self._called_at
        return self.away or (called_at is not None and now_s - called_at < LONGEST_CALL_S)

    def stop(self, timeout_s: float) -> bool:
        """Let the thread end after what it has to do; False when it did not in time."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            self._called_at = time.monotonic()
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
                future.set_exception(error)
            self._called_at = None
            del future, call, job
