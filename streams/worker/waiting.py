"""Waiting for a time or an event, for a server that is away, for an answer that may be wrong just now."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streams.sink import SinkSetBack

log = logging.getLogger(__name__)

# how often a store that seems set back is asked again
RECHECKS = 5
# between two tries while a server is away
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0

T = TypeVar("T")


async def until(at_s: float, *events: asyncio.Event) -> None:
    """Wait until a time of the monotonic clock, or one of the events."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        timeout_s = max(0.0, at_s - time.monotonic())
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class Insistence:
    """Tries again for ever while a server is away: that is called `name` in the log."""

    def __init__(self, name: str, passing: tuple[type[Exception], ...]) -> None:
        self._name, self._passing = name, passing
        # whether the last try has failed
        self.away = False

    async def until_done(
        self, attempt: Callable[[], Awaitable[T]], what: str, unless: Callable[[], bool] = lambda: False
    ) -> T:
        """The result of the attempt; one of the `passing` errors only when `unless` says it is not wanted."""
        pause_s, failures = FIRST_PAUSE_S, 0
        while True:
            try:
                result = await attempt()
            except self._passing as error:
                if unless():
                    raise
                failures += 1
                self.away = True
                why = str(error) or repr(error)
                log.warning("%s is away (%s): %s; trying again in %.1f s", self._name, what, why, pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                if unless():
                    raise
            else:
                self.away = False
                if failures:
                    log.info("%s is back (%s), after %d failures", self._name, what, failures)
                return result


async def confirm(ask: Callable[[], Awaitable[None]], within_ms: int) -> None:
    """Ask, and ask again: a replica that lags may seem set back for a moment. Raises SinkSetBack."""
    for rechecks in range(RECHECKS + 1):
        try:
            await ask()
        except SinkSetBack as error:
            if rechecks == RECHECKS:
                raise
            log.warning("looking again: %s", error)
            await asyncio.sleep(within_ms / 1000 / RECHECKS)
        else:
            return
