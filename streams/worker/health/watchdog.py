"""The watchdog: ends a worker that stands still, with the stacks of all its threads in the log.

It has a thread, an event loop and a Kafka client of its own, so nothing that hangs can hang it. Should even
its thread not run, because compiled code keeps Python's lock, a timer of `faulthandler`'s ends the process.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol

from streams.worker.client.consumer import Consumer
from streams.worker.client.log_ends import LogEnds
from streams.worker.errors import EXIT_STALLED, LogUnknown
from streams.worker.health.stall import Patience, Sample, stalled
from streams.worker.runtime import Runtime
from streams.worker.values import Partition

log = logging.getLogger(__name__)

# samples in the time that a worker may stand still, and what a sample takes at most
SAMPLES, LONGEST_STEP_S = 6, 10.0
# the thread of the watchdog itself did not run for so many times as long
LOCKED_TIMES = 3
REPEAT_S = 60.0
TASK_FRAMES = 4

Loops = Callable[[], Mapping[str, asyncio.AbstractEventLoop]]


class Watched(Protocol):
    """What is asked of the worker, from the watchdog's thread."""

    @property
    def paused(self) -> frozenset[str]:
        """Topics that a breaker has paused."""

    def positions(self) -> Mapping[Partition, int]:
        """Where each partition goes on."""

    def held_up(self, now_s: float) -> bool:
        """Whether it waits for the sink."""

    def rebalance_s(self, now_s: float) -> float:
        """For how long a rebalance, or the start, has been under way; 0 when none is."""


class Watchdog:
    """Looks at a worker from `start` to `stop`; `loops` are the event loops that must answer, by name.

    `end` is told why the worker has to be ended. When the watchdog itself can't run for `locked_s` (0: for
    ever), the process is ended.
    """

    def __init__(
        self,
        watched: Watched,
        ends: LogEnds,
        patience: Patience,
        loops: Loops,
        end: Callable[[str], None],
        locked_s: float = 0,
    ) -> None:
        self._watched, self._ends, self._patience, self._loops = watched, ends, patience, loops
        self._end, self._locked_s = end, locked_s
        self._step_s = min(LONGEST_STEP_S, patience.stall_s / SAMPLES)
        self._samples: list[Sample] = []
        self._unanswered: set[str] = set()
        self._unknown_since = 0.0
        self._told_at = -REPEAT_S
        self._stopped = threading.Event()
        self._wake: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin, unless any standstill is allowed."""
        if self._patience.stall_s:
            self._thread.start()

    def stop(self) -> None:
        """Leave the worker alone from now on: its end is under way, and has a deadline of its own."""
        self._stopped.set()
        # its loop may have ended by itself
        with suppress(RuntimeError):
            self._wake()
        if self._locked_s:
            faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except Exception:
            log.exception("the watchdog itself has failed: nothing tells any more whether this worker hangs")
        finally:
            if self._locked_s:
                faulthandler.cancel_dump_traceback_later()

    async def _watch(self) -> None:
        woken = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
        while not self._stopped.is_set():
            if self._locked_s:
                faulthandler.dump_traceback_later(self._locked_s, exit=True)
            await self._look()
            now_s = time.monotonic()
            why = stalled(self._samples, now_s, self._patience)
            if why and not self._stopped.is_set():
                self._end(why)
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), self._step_s)
        await self._ends.close()

    async def _look(self) -> None:
        watched, positions = self._watched, self._positions()
        ends = await self._ends_of(positions)
        now_s = time.monotonic()
        silent, self._unanswered = frozenset(self._unanswered), set()
        self._ask()
        self._samples.append(
            Sample(
                at_s=now_s,
                positions=positions,
                ends=ends,
                paused=watched.paused,
                waits=watched.held_up(now_s),
                silent=silent,
                rebalance_s=watched.rebalance_s(now_s),
            )
        )
        if now_s - self._samples[0].at_s > self._patience.memory_s:
            del self._samples[0]

    def _positions(self) -> Mapping[Partition, int]:
        while True:
            try:
                return self._watched.positions()
            except RuntimeError:
                # partitions came or went in the middle of it
                continue

    def _ask(self) -> None:
        """Have each loop answer until the next sample."""
        for name, loop in self._loops().items():
            self._unanswered.add(name)
            # a loop that is closed does not answer either
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._unanswered.discard, name)

    async def _ends_of(self, positions: Mapping[Partition, int]) -> Mapping[Partition, int] | None:
        """None while Kafka does not say; the log tells it now and then."""
        try:
            ends = await self._ends.of(positions.keys())
        except LogUnknown as error:
            now_s = time.monotonic()
            self._unknown_since = self._unknown_since or now_s
            if now_s - self._told_at >= REPEAT_S:
                self._told_at = now_s
                log.warning("whether this worker stands still can't be known, Kafka does not say where its "
                            "logs end (%s); asking again", error)  # fmt: skip
            return None
        if self._unknown_since:
            log.info("Kafka says again where its logs end")
            self._unknown_since, self._told_at = 0.0, -REPEAT_S
        return ends


def watch(runtime: Runtime, consumer: Consumer) -> Watchdog:
    """The watchdog of a worker whose event loop is the one that runs; its setting may switch it off."""
    config, main = runtime.config, asyncio.get_running_loop()
    patience = Patience(config.stall_ms / 1000, config.rebalance_ms / 1000)

    def loops() -> Mapping[str, asyncio.AbstractEventLoop]:
        in_thread = consumer.thread_loop
        return {"event loop": main, **({"consumer thread": in_thread} if in_thread else {})}

    # Kafka that hangs must not look like a held lock: an answer, and then a farewell, may take as long
    ends = LogEnds(config, min(LONGEST_STEP_S, patience.stall_s))
    locked_s = LOCKED_TIMES * patience.stall_s
    return Watchdog(runtime, ends, patience, loops, partial(end_process, loops), locked_s)


def end_process(loops: Loops, why: str) -> None:
    """The last words of a worker that stands still; past logging, whose lock may be what hangs."""
    print(f"songlo: standing still: {why}. The stacks of all threads:", file=sys.stderr, flush=True)
    faulthandler.dump_traceback(sys.stderr, all_threads=True)
    # a loop that only waits has its reason in a task; best effort, since its thread goes on meanwhile
    with suppress(Exception):
        for loop in loops().values():
            for task in asyncio.all_tasks(loop):
                task.print_stack(limit=TASK_FRAMES, file=sys.stderr)
    print("songlo: ending the process; the next one goes on from the last flush", file=sys.stderr, flush=True)
    os._exit(EXIT_STALLED)
