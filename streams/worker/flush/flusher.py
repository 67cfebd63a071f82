"""The loop that flushes: everything that changed since the last flush, one flush at a time."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from streams.core.pace import pace, parts
from streams.sink import SinkError, SinkSetBack, SinkUnavailable
from streams.spec import StreamSpec
from streams.worker.client.consumer import Consumer
from streams.worker.errors import WorkerStop
from streams.worker.flush.steps import check_not_set_back, settle, store
from streams.worker.partitions import Captured
from streams.worker.recover.recovery import seek_again
from streams.worker.runtime import Runtime

log = logging.getLogger(__name__)

# how soon a worker hears of a pause or a resume, and how often it says that a stream is paused
LOOK_S, REMIND_S = 2.0, 300.0
# how often a store that seems set back is asked again
DOUBTS = 5

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
        self._look_at, self._remind_at = 0.0, time.monotonic() + REMIND_S

    def start(self) -> None:
        """Begin; a failure stops the worker."""
        self._loop_ends = asyncio.create_task(self._flush_for_ever(), name="flusher")

    async def finish(self, patience_s: float) -> bool:
        """After the last fold: end the flush that is under way, and flush the rest.

        False when it took too long or failed: a replay makes up for it. What an unfinished flush had
        captured is lost with it, so nothing may be flushed behind it.
        """
        self._give_up_at = time.monotonic() + patience_s
        self._runtime.stopping.set()
        self._runtime.tell_refusals(rest=True)
        try:
            if self._loop_ends is not None:
                await self._loop_ends
            if isinstance(self._runtime.failure, SinkError | WorkerStop):
                return False
            self._runtime.reach("stop.before_flush")
            await flush(self._runtime, self._consumer, self._too_late)
        except WorkerStop as error:
            self._runtime.fail(error)
            return False
        except SinkError as error:
            log.warning("the last flush did not end (%s): the next start replays it", error)
            return False
        return True

    async def _flush_for_ever(self) -> None:
        runtime, config = self._runtime, self._runtime.config
        asked_s, longest_s = config.flush_ms / 1000, config.flush_most_ms / 1000
        began, next_one = time.monotonic(), pace(asked_s, longest_s)
        try:
            while not runtime.stopping.is_set():
                await _until(began + next_one.soonest_s, runtime.stopping)
                await _until(began + next_one.usual_s, runtime.stopping, runtime.urgent)
                runtime.urgent.clear()
                await self._consumer.check()
                began = time.monotonic()
                made = await flush(runtime, self._consumer, self._too_late)
                next_one = pace(asked_s, longest_s, time.monotonic() - began, made)
                runtime.tell_refusals()
                await self._look_at_breakers()
                if runtime.wanted_seeks:
                    await seek_again(runtime, self._consumer)
        except Exception as error:
            runtime.fail(error)
            raise

    async def _look_at_breakers(self) -> None:
        """Hear of what was paused and resumed elsewhere, now and then."""
        runtime, now = self._runtime, time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        # whether it is away, the next flush will tell
        with suppress(SinkUnavailable):
            runtime.hear(await runtime.sink_thread.call(runtime.sink.breakers))
            for spec in runtime.partitions.specs:
                check = partial(check_not_set_back, runtime.sink, spec, runtime.stored_of(spec.topic))
                await _sure(runtime, partial(runtime.sink_thread.call, check))
        if now >= self._remind_at:
            self._remind_at = now + REMIND_S
            runtime.remind()

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
        runtime.reach("flush.captured")
        # after the fetches of what was captured, and before any of it is stored
        await runtime.identities.check({captured[0].spec.topic for captured in by_stream.values()})
    for group in by_stream.values():
        await _flush_stream(runtime, group[0].spec, group, give_up)
    if runtime.uncommitted:
        await commit(runtime, consumer)
    for topic, breaker in list(runtime.breakers.unwritten.items()):
        await runtime.sink_thread.insist(partial(runtime.sink.put_breaker, breaker), "breakers", give_up)
        runtime.breakers.written(topic, breaker)
    runtime.tell()
    return max((parts(c.changes for c in group) for group in by_stream.values()), default=0)


async def _flush_stream(runtime: Runtime, spec: StreamSpec, group: list[Captured], give_up: Guard) -> None:
    sink, insist = runtime.sink, runtime.sink_thread.insist
    captured = [(c.settler, c.changes) for c in group]
    # settled once: the retries of `store` below must write the same changes
    settled = await insist(partial(settle, sink, captured), f"late events of {spec.name}", give_up)
    must_have = runtime.stored_of(spec.topic)
    write = partial(store, sink, spec, settled, runtime.reach, must_have)
    await _sure(runtime, partial(insist, write, f"windows of {spec.name}", give_up))
    for changes in settled:
        progress = changes.progress
        runtime.stored[progress.topic, progress.partition] = progress.version
        runtime.uncommitted[progress.topic, progress.partition] = progress.next_offset


async def _sure(runtime: Runtime, ask: Callable[[], Awaitable[None]]) -> None:
    """Ask, and ask again: a replica that lags may seem set back for a moment. Raises SinkSetBack."""
    for doubts in range(DOUBTS + 1):
        try:
            await ask()
        except SinkSetBack as error:
            if doubts == DOUBTS:
                raise
            log.warning("looking again: %s", error)
            await asyncio.sleep(runtime.config.doubt_ms / 1000 / DOUBTS)
        else:
            return


async def commit(runtime: Runtime, consumer: Consumer) -> None:
    """Tell Kafka how far the sink has come; what it does not take goes with the next flush."""
    runtime.reach("commit.before")
    positions = {p: o for p, o in runtime.uncommitted.items() if p in runtime.positions()}
    if positions and not await consumer.commit_positions(positions, runtime.config.commit_ms / 1000):
        return
    runtime.uncommitted.clear()
    runtime.reach("commit.after")


async def _until(at_s: float, *events: asyncio.Event) -> None:
    """Wait until a time of the monotonic clock, or one of the events."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        timeout_s = max(0.0, at_s - time.monotonic())
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
