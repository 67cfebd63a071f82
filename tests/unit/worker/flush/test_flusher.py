"""The loop that flushes, on a store in memory."""

import asyncio
import threading
from collections.abc import Sequence
from typing import cast

from sinks.memory import MemorySink
from streams.core.values import Changes
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.sink import SinkRejected, SinkUnavailable
from streams.spec import StreamSpec
from streams.worker.client.consumer import Consumer
from streams.worker.config import WorkerConfig
from streams.worker.errors import EXIT_HELP, EXIT_OK
from streams.worker.failpoints import pass_by
from streams.worker.flush.flusher import Flusher
from streams.worker.runtime import Runtime
from streams.worker.values import Fetched
from tests.support.events import T0_MS, camera_event, message, packed

P0 = ("camera.events", 0)


class BadSink(MemorySink):
    """Refuses rows."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.asked = error, asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def put_rows(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        self.loop.call_soon_threadsafe(self.asked.set)
        raise self.error


def stopped_amid_a_flush(error: Exception) -> tuple[bool, int]:
    """Whether all was flushed, and the exit code, when rows are refused and then a stop is asked for."""

    async def run() -> tuple[bool, int]:
        config, sink = WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1"), flush_ms=1), BadSink(error)
        runtime = Runtime(config, list(load_streams().values()), sink, pass_by)
        runtime.partitions.add(runtime.partitions.empty(P0))
        await runtime.deliver(P0, [Fetched(0, packed(0, 1, T0_MS, [message(camera_event("e", 0))]))])
        flusher = Flusher(runtime, cast(Consumer, None))
        flusher.start()
        await asyncio.wait_for(sink.asked.wait(), 10)
        flushed = await flusher.finish(0.3)
        runtime.sink_thread.stop(1)
        return flushed, runtime.ending.exit_code

    return asyncio.run(run())


def test_a_sink_that_is_away_at_a_stop_is_no_failure() -> None:
    """The flush under way is given up, the next start replays it: that is what was asked for."""
    assert stopped_amid_a_flush(SinkUnavailable("away")) == (False, EXIT_OK)


def test_a_sink_that_hangs_at_a_stop_is_not_waited_for() -> None:
    """Its call may take a minute and more; what it still writes, the next start writes again."""

    async def run() -> tuple[bool, int]:
        config, let_go = WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1"), flush_ms=1), threading.Event()
        sink, loop, asked = MemorySink(), asyncio.get_running_loop(), asyncio.Event()

        def hang(*_: object) -> None:
            loop.call_soon_threadsafe(asked.set)
            let_go.wait()

        sink.put_rows = hang  # type: ignore[method-assign] # as a server that is frozen
        runtime = Runtime(config, list(load_streams().values()), sink, pass_by)
        runtime.partitions.add(runtime.partitions.empty(P0))
        await runtime.deliver(P0, [Fetched(0, packed(0, 1, T0_MS, [message(camera_event("e", 0))]))])
        flusher = Flusher(runtime, cast(Consumer, None))
        flusher.start()
        await asyncio.wait_for(asked.wait(), 10)
        flushed = await flusher.finish(0.2)
        let_go.set()
        runtime.sink_thread.stop(1)
        return flushed, runtime.ending.exit_code

    assert asyncio.run(run()) == (False, EXIT_OK)


def test_a_sink_that_refuses_is_one() -> None:
    """A person has to act."""
    assert stopped_amid_a_flush(SinkRejected("no such table")) == (False, EXIT_HELP)
