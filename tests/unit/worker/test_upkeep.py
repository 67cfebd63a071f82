"""What is looked after beside flushes: a store in memory, and a consumer that only counts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from sinks.memory import MemorySink
from streams.core.breaker import Breaker
from streams.core.values import Progress
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.sink import SinkSetBack, SinkUnavailable
from streams.worker.client.consumer import Consumer
from streams.worker.config import WorkerConfig
from streams.worker.failpoints import pass_by
from streams.worker.runtime import Runtime
from streams.worker.stray_shares import RECENT
from streams.worker.upkeep import Upkeep
from streams.worker.values import LogBounds, Partition

P0 = ("camera.events", 0)


@dataclass
class Log:
    """A log whose ends are known, and how often it was sought."""

    sought: int = 0
    refusal: Exception | None = None

    async def check(self) -> None:
        if self.refusal:
            raise self.refusal

    async def log_bounds(self, of: dict[Partition, int | None]) -> dict[Partition, LogBounds]:
        return {partition: LogBounds(0, 10) for partition in of}

    async def perform_seek(self) -> None:
        self.sought += 1


class AwaySink(MemorySink):
    """Does not answer."""

    def breakers(self) -> dict[str, Breaker]:
        raise SinkUnavailable("away")

    put_breaker = breakers  # type: ignore[assignment] # neither


def with_upkeep(
    body: Callable[[Runtime, Upkeep, Log], Awaitable[Any]], sink: MemorySink | None = None
) -> tuple[Any, Runtime, Log]:
    """What the body returns while a worker is looked after, and what there was."""

    async def run() -> tuple[Any, Runtime, Log]:
        config, log = WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1"), recheck_ms=5), Log()
        runtime = Runtime(config, list(load_streams().values()), sink or MemorySink(), pass_by)
        runtime.partitions.add(runtime.partitions.empty(P0))
        upkeep = Upkeep(runtime, cast(Consumer, log))
        upkeep.start()
        try:
            return await asyncio.wait_for(body(runtime, upkeep, log), 10), runtime, log
        finally:
            runtime.ending.stopping.set()
            await upkeep.finish(1)
            runtime.sink_thread.stop(1)

    return asyncio.run(run())


async def until(holds: Callable[[], object]) -> None:
    """Wait for what another task does."""
    while not holds():
        await asyncio.sleep(0.01)


def test_many_strays_are_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """By what the flushes have said of their progress."""

    async def body(runtime: Runtime, _upkeep: Upkeep, _log: Log) -> None:
        held = runtime.partitions.empty(P0)
        runtime.stray_shares.resumed(held)
        runtime.stray_shares.flushed(replace(held, strays=RECENT), 0.0)
        runtime.attention.set()
        await until(lambda: "stream camera: 100 %" in caplog.text)

    with_upkeep(body)


def test_what_has_lost_its_place_is_sought_at_once() -> None:
    """Not with the next flush, which may have to wait for the sink."""

    async def body(runtime: Runtime, _: Upkeep, log: Log) -> None:
        runtime.seeks.add([P0])
        await until(lambda: log.sought)

    assert with_upkeep(body)[2].sought == 1


def test_switches_go_both_ways() -> None:
    """What this worker pauses is stored, what another resumes is learned."""
    sink = MemorySink()

    async def body(runtime: Runtime, _: Upkeep, log: Log) -> tuple[bool, bool]:
        switch = runtime.switches.breakers
        runtime.switches.learn({"camera": Breaker("camera").pause(1, "by hand")})
        switch.unwritten["camera.events"] = switch.of("camera.events")
        runtime.attention.set()
        await until(lambda: sink.breakers().get("camera"))
        paused = sink.breakers()["camera"].paused
        sink.put_breaker(sink.breakers()["camera"].resume(2, "by hand"))
        await until(lambda: not runtime.paused and log.sought)
        return paused, bool(runtime.paused)

    assert with_upkeep(body, sink)[0] == (True, False)


def test_a_store_that_was_set_back_ends_the_worker() -> None:
    """It has less than it had acknowledged."""

    async def body(runtime: Runtime, _: Upkeep, __: Log) -> None:
        runtime.acknowledged.flushed(Progress("camera", *P0, next_offset=5))
        await runtime.ending.stopping.wait()

    failure = with_upkeep(body)[1].ending.failure
    assert isinstance(failure, SinkSetBack)


def test_a_refusal_of_the_group_ends_the_worker() -> None:
    """Nothing else would ever tell of it."""

    async def body(runtime: Runtime, _: Upkeep, log: Log) -> None:
        log.refusal = RuntimeError("refused")
        await runtime.ending.stopping.wait()

    assert repr(with_upkeep(body)[1].ending.failure) == "RuntimeError('refused')"


def test_a_sink_that_is_away_holds_nothing_up() -> None:
    """Places are sought all the same, and it is no failure; nor is it one at the end."""

    async def body(runtime: Runtime, _: Upkeep, log: Log) -> None:
        runtime.seeks.add([P0])
        await until(lambda: log.sought)
        runtime.seeks.add([P0])
        await until(lambda: log.sought == 2)

    _, runtime, _ = with_upkeep(body, AwaySink())
    assert runtime.ending.failure is None
