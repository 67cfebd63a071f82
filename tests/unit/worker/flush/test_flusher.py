"""The loop that flushes, on a store in memory."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from sinks.memory import MemorySink
from streams.core.home import partition_of
from streams.core.values import Changes, Progress, StrayMessage
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.sink import SinkRejected, SinkUnavailable
from streams.spec import StreamSpec
from streams.worker.client.consumer import Consumer
from streams.worker.client.strays import SaySo
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


class Told(MemorySink):
    """Notes what is written; the first progress fails as if the server had gone."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__()
        self.notes = notes

    def put_rows(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        self.notes.append("rows")

    def put_sending(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        self.notes.append("sending")

    def put_progress(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        self.notes.append("progress")
        if self.notes.count("progress") == 1:
            raise SinkUnavailable("gone")
        super().put_progress(spec, changes)


class Deaf:
    """A group that takes no commits."""

    async def commit_positions(self, *_: object) -> bool:
        return False


def test_strays_are_sent_between_rows_and_progress() -> None:
    """Once, and by home, though all else is written again where the sink was lost in between."""
    notes = list[str]()
    away = sum(partition_of(b"cam-%d" % n, 2) == 1 for n in range(8))

    async def run() -> tuple[bool, dict[str, int], Progress]:
        config, sink = WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1"), flush_ms=1), Told(notes)
        runtime = Runtime(config, list(load_streams().values()), sink, pass_by)

        async def send(topic: str, strays: Sequence[StrayMessage], say_so: SaySo) -> None:
            await say_so()
            notes.extend(f"{topic}: {s.events} to {s.home}" for s in strays)

        runtime.strays.send = send  # type: ignore[method-assign] # no Kafka is there
        runtime.partitions.add(replace(runtime.partitions.empty(P0), homes=2))
        values = [message(camera_event(f"e{n}", 0, camera_id=f"cam-{n}")) for n in range(8)]
        await runtime.deliver(P0, [Fetched(0, packed(0, 8, T0_MS, values))])
        flushed = await Flusher(runtime, cast(Consumer, Deaf())).finish(10)
        runtime.sink_thread.stop(1)
        return flushed, runtime.partitions.strays, sink.progress(P0[0], [0])[0]

    flushed, strays, progress = asyncio.run(run())
    assert 0 < away < 8
    sent = f"camera.events: {away} to 1"
    assert (flushed, notes) == (True, ["rows", "sending", sent, "progress", "rows", "progress"])
    assert strays == {"camera": away, "qr": 0, "service": 0}
    assert (progress.strays, progress.folded, progress.next_offset) == (away, 8 - away, 8)


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
