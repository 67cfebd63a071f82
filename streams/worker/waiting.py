"""Waiting for a time or an event, and asking again where an answer may be wrong for a moment."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from streams.sink import SinkSetBack

log = logging.getLogger(__name__)

# how often a store that seems set back is asked again
RECHECKS = 5


async def until(at_s: float, *events: asyncio.Event) -> None:
    """Wait until a time of the monotonic clock, or one of the events."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        timeout_s = max(0.0, at_s - time.monotonic())
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


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
