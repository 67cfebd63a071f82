"""The loop that flushes: everything that changed since the last flush, one flush at a time."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

from streams.core.pace import pace, parts
from streams.sink import SinkError, SinkUnavailable
from streams.spec import StreamSpec
from streams.worker.client.consumer import Consumer
from streams.worker.errors import WorkerStop
from streams.worker.flush.steps import (
    AFTER_STRAYS,
    BEFORE_STRAYS,
    drop_late_duplicates,
    go_through,
    progress_steps,
    put_sending,
    row_steps,
    strays_of,
)
from streams.worker.partitions import Captured
from streams.worker.runtime import Runtime
from streams.worker.waiting import confirm, until

log = logging.getLogger(__name__)

Guard = Callable[[], bool]


class Flusher:
    """Flushes every `flush_ms`, sooner when room is needed, later when the sink can't keep up.

    A sink that is away is waited for; meanwhile the group membership stays alive, since nothing here
    blocks the loop.
    """

    def __init__(self, runtime: Runtime, consumer: Consumer) -> None:
        self._runtime, self._consumer = runtime, consumer
        self._loop_ends: asyncio.Task[None] | None = None
        self._give_up_at = math.inf

    def start(self) -> None:
        """Begin; a failure stops the worker."""
        self._loop_ends = asyncio.create_task(self._flush_for_ever(), name="flusher")

    async def finish(self, patience_s: float) -> bool:
        """After the last fold: end the flush that is under way, and flush the rest.

        False when it took too long or failed: a replay makes up for it. What an unfinished flush had
        captured is lost with it, so nothing may be flushed behind it.
        """
        self._give_up_at = time.monotonic() + patience_s
        self._runtime.ending.stopping.set()
        try:
            # a call that hangs in the sink's thread is not waited for any longer
            async with asyncio.timeout(patience_s):
                if self._loop_ends is not None:
                    await self._loop_ends
                if not self._runtime.ending.may_flush:
                    return False
                self._runtime.failpoint("stop.before_flush")
                await flush(self._runtime, self._consumer, self._too_late)
        except WorkerStop as error:
            self._runtime.fail(error)
            return False
        except (SinkError, TimeoutError) as error:
            why = error if isinstance(error, SinkError) else f"not within {patience_s:g} s"
            log.warning("the last flush did not end (%s): the next start replays it", why)
            return False
        return True

    async def _flush_for_ever(self) -> None:
        runtime, config = self._runtime, self._runtime.config
        asked_s, longest_s = config.flush_ms / 1000, config.flush_most_ms / 1000
        began, next_one = time.monotonic(), pace(asked_s, longest_s)
        stopping = runtime.ending.stopping
        try:
            while not stopping.is_set():
                await until(began + next_one.soonest_s, stopping)
                await until(began + next_one.usual_s, stopping, runtime.urgent)
                runtime.urgent.clear()
                began = time.monotonic()
                made = await flush(runtime, self._consumer, self._too_late)
                next_one = pace(asked_s, longest_s, time.monotonic() - began, made)
        except Exception as error:
            # what is given up at a stop that was asked for is no failure: the next start replays it
            if not (isinstance(error, SinkUnavailable) and self._too_late()):
                runtime.fail(error)
            raise

    def _too_late(self) -> bool:
        return time.monotonic() >= self._give_up_at


async def flush(runtime: Runtime, consumer: Consumer, give_up: Guard) -> int:
    """Write what changed, then commit; about how many parts that made in one table.

    Raises SinkUnavailable only when `give_up` says so.

    After any failure nothing may be flushed any more: the captured changes are gone, and a later position
    would account for them.
    """
    by_stream: dict[str, list[Captured]] = {}
    for captured in runtime.partitions.capture():
        by_stream.setdefault(captured.spec.name, []).append(captured)
    runtime.room.made()
    if by_stream:
        runtime.failpoint("flush.captured")
        # after the fetches of what was captured, and before any of it is stored
        await runtime.identities.check({captured[0].spec.topic for captured in by_stream.values()})
    for group in by_stream.values():
        await _flush_stream(runtime, group[0].spec, group, give_up)
    await commit(runtime, consumer)
    runtime.write_status()
    return max((parts(c.changes for c in group) for group in by_stream.values()), default=0)


async def _flush_stream(runtime: Runtime, spec: StreamSpec, group: list[Captured], give_up: Guard) -> None:
    sink, retry_until_available = runtime.sink, runtime.sink_thread.retry_until_available
    captured = [(c.deduplicator, c.changes) for c in group]
    # settled once: the retries of `store` below must write the same changes
    settled = await retry_until_available(
        partial(drop_late_duplicates, sink, captured), f"late events of {spec.name}", give_up
    )
    must_have = runtime.acknowledged.versions(spec.topic, runtime.positions().keys())
    strays = strays_of(settled)
    say_so = partial(runtime.sink_thread.call, partial(put_sending, sink, spec, settled))

    async def store() -> None:
        # all of it again after any failure: a store that comes back may have lost rows
        await _call(runtime, partial(row_steps, sink, spec, settled))
        if strays:
            runtime.failpoint(BEFORE_STRAYS)
            await runtime.strays.send(spec.topic, strays, say_so)
            runtime.failpoint(AFTER_STRAYS)
            # but these are safe
            strays.clear()
        await _call(runtime, partial(progress_steps, sink, spec, settled, must_have))

    insist = partial(runtime.sink_thread.until_done, store, f"windows of {spec.name}", give_up)
    await confirm(insist, runtime.config.recheck_ms)
    for changes in settled:
        runtime.acknowledged.flushed(changes.progress)
        runtime.stray_shares.flushed(changes.progress, time.monotonic())


async def _call(runtime: Runtime, steps_of: Callable[[], Iterator[str]]) -> None:
    await runtime.sink_thread.call(partial(go_through, steps_of, runtime.failpoint))


async def commit(runtime: Runtime, consumer: Consumer) -> None:
    """Tell Kafka how far the sink has come; what it does not take goes with the next flush."""
    positions = runtime.acknowledged.uncommitted(runtime.positions().keys())
    if not positions:
        return
    runtime.failpoint("commit.before")
    if await consumer.commit_positions(positions, runtime.config.commit_ms / 1000):
        runtime.acknowledged.committed(positions)
        runtime.failpoint("commit.after")
