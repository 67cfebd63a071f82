"""What a worker looks after beside its flushes: the group, switches, the store's age, lost places."""

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial

from streams.sink import SinkError, SinkUnavailable
from streams.worker.client.consumer import Consumer
from streams.worker.flush.steps import check_not_set_back
from streams.worker.recover.recovery import seek_again
from streams.worker.runtime import Runtime
from streams.worker.waiting import confirm, until

log = logging.getLogger(__name__)

# how soon the group's refusals are heard of, then what others have switched; how often what is paused is told
EVERY_S, LOOK_S, REMIND_S = 1.0, 2.0, 300.0


class Upkeep:
    """Goes round every second, and at once when something wants attention; a failure stops the worker.

    Nothing here waits for a sink that is away: the next flush does, and tells.
    """

    def __init__(self, runtime: Runtime, consumer: Consumer) -> None:
        self._runtime, self._consumer = runtime, consumer
        self._rounds: asyncio.Task[None] | None = None
        self._look_at, self._remind_at = 0.0, time.monotonic() + REMIND_S

    def start(self) -> None:
        """Begin."""
        self._rounds = asyncio.create_task(self._go_round(), name="upkeep")

    async def finish(self, patience_s: float) -> None:
        """After the last flush: end, say what was refused, and write what was switched."""
        self._runtime.switches.tell_refusals(rest=True)
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.wait([self._rounds])
        with suppress(SinkError, TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._runtime.switches.store(self._runtime.sink, self._runtime.sink_thread)

    async def _go_round(self) -> None:
        runtime, stopping = self._runtime, self._runtime.ending.stopping
        try:
            while not stopping.is_set():
                await until(time.monotonic() + EVERY_S, stopping, runtime.attention)
                runtime.attention.clear()
                await self._consumer.check()
                runtime.switches.tell_refusals()
                for line in runtime.stray_shares.lines(time.monotonic()):
                    log.warning("%s", line)
                # whether the sink is away, the next flush will tell
                with suppress(SinkUnavailable):
                    await self._look_at_the_store()
                await seek_again(runtime, self._consumer)
        except Exception as error:  # noqa: BLE001 - told by fail(), and by the exit code
            # what is not answered any more at a stop is no failure
            if not (stopping.is_set() and isinstance(error, SinkUnavailable)):
                runtime.fail(error)

    async def _look_at_the_store(self) -> None:
        """Write what this worker has switched; now and then read what others have, and what the store has."""
        runtime, now = self._runtime, time.monotonic()
        if runtime.sink_thread.away:
            return
        await runtime.switches.store(runtime.sink, runtime.sink_thread)
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            runtime.switches.learn(await runtime.sink_thread.call(runtime.sink.breakers))
            held = runtime.positions().keys()
            for spec in runtime.partitions.specs:
                must_have = runtime.acknowledged.versions(spec.topic, held)
                check = partial(check_not_set_back, runtime.sink, spec, must_have)
                await confirm(partial(runtime.sink_thread.call, check), runtime.config.recheck_ms)
        if now >= self._remind_at:
            self._remind_at = now + REMIND_S
            runtime.switches.remind()
