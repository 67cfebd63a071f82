"""From start to exit: wait for the broker, run the app, and stop it in the order that loses nothing."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from streams.worker.client.topics import wait_for_topics
from streams.worker.flush.flusher import Flusher
from streams.worker.health.watchdog import watch
from streams.worker.process.deadline import Deadline
from streams.worker.runtime import Runtime
from streams.worker.upkeep import Upkeep

log = logging.getLogger(__name__)

CLOSE_S = 2.0


async def live(runtime: Runtime, build: Callable[[], Any], deadline: Deadline) -> int:
    """Run the app that `build` returns until the runtime stops; the exit code."""
    runtime.write_status("starting")
    _obey_signals(runtime, deadline)
    try:
        if await _unless_stopped(runtime, wait_for_topics(runtime.config, runtime.partitions.topics)):
            await _serve(runtime, build(), deadline)
    except Exception as error:  # noqa: BLE001 - told by fail(), and by the exit code
        runtime.fail(error)
    deadline.start(runtime.ending.exit_code)
    runtime.write_status("stopping")
    await asyncio.gather(runtime.strays.close(), runtime.identities.close())
    with suppress(TimeoutError):
        await asyncio.wait_for(runtime.sink_thread.call(runtime.sink.close), CLOSE_S)
    log.info("stopped, exit code %d", runtime.ending.exit_code)
    return runtime.ending.exit_code


async def _serve(runtime: Runtime, app: Any, deadline: Deadline) -> None:
    flusher, upkeep = Flusher(runtime, app.consumer), Upkeep(runtime, app.consumer)
    watchdog = watch(runtime, app.consumer)

    async def last_flush(*_: object, **__: object) -> None:
        # Faust has stopped fetching by now, and not yet its client, which can still commit
        runtime.write_status("stopping")
        await flusher.finish(runtime.config.stop_ms / 2000)
        await upkeep.finish(CLOSE_S)

    app.on_before_shutdown.connect(last_flush)
    flusher.start()
    upkeep.start()
    runtime.rebalance_since = time.monotonic()
    watchdog.start()
    try:
        if await _unless_stopped(runtime, app.start()):
            await _unless_stopped(runtime, app.wait_until_stopped())
        if app.crash_reason is not None:
            runtime.fail(app.crash_reason)
    finally:
        runtime.ending.stopping.set()
        watchdog.stop()
        deadline.start(runtime.ending.exit_code)
        await app.stop()


async def _unless_stopped(runtime: Runtime, work: Any) -> bool:
    """Whether the work ended before the worker was told to stop. Raises what the work raises."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(runtime.ending.stopping.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return False


def _obey_signals(runtime: Runtime, deadline: Deadline) -> None:
    def obey(name: str) -> None:
        if runtime.ending.stopping.is_set():
            os._exit(1)
        log.info("%s: flushing, then leaving the group", name)
        deadline.start(0)
        runtime.ending.stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, obey, number.name)
