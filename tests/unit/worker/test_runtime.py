"""Folding what is delivered: room, lost batches, and what a worker's end is told by."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from sinks.memory import MemorySink
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.sink import SinkRejected
from streams.worker.config import WorkerConfig
from streams.worker.errors import EXIT_FAILED, EXIT_HELP, EXIT_OK, LogTruncated
from streams.worker.failpoints import pass_by
from streams.worker.runtime import Runtime
from streams.worker.values import Fetched
from tests.support.events import T0_MS, camera_event, message, packed

P0 = ("camera.events", 0)


def poll(start: int, base: int, count: int) -> list[Fetched]:
    """One poll of one batch."""
    values = [message(camera_event(f"e{base + i}", 1)) for i in range(count)]
    return [Fetched(start, packed(base, base + count, T0_MS + 2_000, values))]


def with_runtime(body: Any, **config: object) -> Any:
    """What `body(runtime)` returns, for a runtime that holds partition 0."""

    async def run() -> Any:
        settings = WorkerConfig(kafka=KafkaAccess.at("b:1"), **config)  # type: ignore[arg-type] # any field may be changed
        runtime = Runtime(settings, list(load_streams().values()), MemorySink(), pass_by)
        runtime.partitions.add(runtime.partitions.empty(P0))
        result = body(runtime)
        return await result if isinstance(result, Coroutine) else result

    return asyncio.run(run())


def test_too_much_waiting_holds_the_next_poll_until_a_capture() -> None:
    """The first poll passes the bound, the second waits, and a flush is asked for at once."""

    async def body(runtime: Runtime) -> tuple[object, ...]:
        await runtime.deliver(P0, poll(0, 0, 3))
        second = asyncio.ensure_future(runtime.deliver(P0, poll(3, 3, 3)))
        await asyncio.sleep(0)
        held_at, urgent = runtime.positions()[P0], runtime.urgent.is_set()
        runtime.partitions.capture()
        runtime.room.made()
        await second
        return held_at, urgent, runtime.positions()[P0]

    assert with_runtime(body, pending_bytes=1) == (3, True, 6)


def test_a_batch_is_folded_in_parts_with_a_flush_between_them() -> None:
    """One batch of many more events than have room: each part waits for a capture, and all of it counts."""

    async def body(runtime: Runtime) -> tuple[int, int, int]:
        values = [message(camera_event(f"e{n}", 1, camera_id=f"c{n}")) for n in range(20_000)]
        many = Fetched(0, packed(0, 20_000, T0_MS + 2_000, values))
        task, captures, most = asyncio.ensure_future(runtime.deliver(P0, [many])), 0, 0
        while not task.done():
            await asyncio.sleep(0)
            if runtime.room.closed:
                most = max(most, runtime.partitions.pending_bytes)
                runtime.partitions.capture()
                captures += 1
                runtime.room.made()
        return captures, most, runtime.positions()[P0]

    captures, most, position = with_runtime(body, pending_bytes=200_000)
    assert position == 20_000
    assert captures > 3
    # as much as there is room for, and what one piece of the plain fold adds
    assert most < 200_000 + 900_000


def test_open_windows_above_the_bound_slow_folding_down(caplog: pytest.LogCaptureFixture) -> None:
    """One poll between two flushes, which are asked for at once; it is told once, and is no standstill."""

    async def body(runtime: Runtime) -> tuple[object, ...]:
        polls = [asyncio.ensure_future(runtime.deliver(P0, poll(3 * n, 3 * n, 3))) for n in range(4)]
        reached, held_up = list[int](), list[tuple[bool, bool]]()
        for _ in range(5):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            reached.append(runtime.positions()[P0])
            now_s = time.monotonic()
            held_up.append((runtime.held_up(now_s), runtime.held_up(now_s + 3600)))
            runtime.partitions.capture()
            runtime.room.made()
        await asyncio.gather(*polls)
        return reached, held_up[:4], runtime.urgent.is_set()

    reached, held_up, urgent = with_runtime(body, open_bytes=1)
    assert reached == [3, 6, 9, 12, 12]
    assert (held_up, urgent) == ([(True, False)] * 4, True)
    told = [record.message for record in caplog.records if "SONGLO_OPEN_MB" in record.message]
    assert len(told) == 1


def test_a_stop_lets_go_of_a_poll_that_waits_for_room() -> None:
    """Nothing of it is folded: the next start reads it again."""

    async def body(runtime: Runtime) -> int:
        await runtime.deliver(P0, poll(0, 0, 3))
        second = asyncio.ensure_future(runtime.deliver(P0, poll(3, 3, 3)))
        await asyncio.sleep(0)
        runtime.fail(SinkRejected("no such table"))
        await second
        return runtime.positions()[P0]

    assert with_runtime(body, pending_bytes=1) == 3


def test_a_lost_batch_is_read_again_and_not_skipped() -> None:
    """The poll behind the hole is left, and a seek is asked for once."""

    async def body(runtime: Runtime) -> tuple[object, ...]:
        await runtime.deliver(P0, poll(5, 5, 1))
        wanted = runtime.seeks.take([P0])
        await runtime.deliver(P0, poll(6, 6, 1))
        return wanted, runtime.seeks.take([P0]), runtime.positions()[P0]

    assert with_runtime(body) == ([P0], [], 0)


def test_the_exit_code_says_whether_a_restart_may_help() -> None:
    """Asked for: 0. A defect or a lost broker: 1. A person has to act: 3."""

    def code(error: Exception | None) -> int:
        def body(runtime: Runtime) -> int:
            if error is not None:
                runtime.fail(error)
                runtime.fail(OSError("what came of it"))
            return runtime.ending.exit_code

        result: int = with_runtime(body)
        return result

    assert [code(None), code(OSError("gone"))] == [EXIT_OK, EXIT_FAILED]
    assert [code(LogTruncated("cut")), code(SinkRejected("no"))] == [EXIT_HELP, EXIT_HELP]


def test_a_stream_that_refuses_too_much_is_let_go_until_it_is_resumed() -> None:
    """What was folded stays, what is delivered meanwhile does not, and the resume seeks back to its place.

    offsets   0 1 2 │ 3 to 32               │ 33 34 35 │
              good  │ refused, of 30 sources │ let go   │ resumed: read again from 33
    """

    async def body(runtime: Runtime) -> tuple[object, ...]:
        await runtime.deliver(P0, poll(0, 0, 3))
        keys = [b"cam-%d" % n for n in range(30)]
        broken = [Fetched(3, packed(3, 33, T0_MS, [b"{"] * 30, None, keys))]
        await runtime.deliver(P0, [*broken, *poll(33, 33, 3)])
        paused, urgent = runtime.paused, runtime.attention.is_set()
        await runtime.deliver(P0, poll(33, 33, 3))
        at = runtime.positions()[P0]
        switch = runtime.switches.breakers.of("camera.events")
        runtime.switches.learn({"camera": switch.resume(1, "by hand")})
        seeks = set(runtime.seeks.wanted)
        await runtime.deliver(P0, poll(33, 33, 3))
        captured = runtime.partitions.capture()[0].changes
        return paused, urgent, at, seeks, runtime.paused, runtime.positions()[P0], captured.progress.dead

    expected = ({"camera.events"}, True, 33, {P0}, frozenset(), 36, 30)
    assert with_runtime(body, breaker_percent=30, breaker_events=10) == expected


def test_whether_the_sink_holds_it_up_matters_only_where_it_needs_the_sink() -> None:
    """While there is room, and no rebalance, folding goes on without it."""

    async def body(runtime: Runtime) -> list[bool]:
        runtime.sink_thread.holds_up = lambda now_s: True  # type: ignore[method-assign] # as if it were away
        held = [runtime.held_up(0)]
        runtime.rebalance_since = 5.0
        held += [runtime.held_up(0), runtime.rebalance_s(7.0) == 2.0]
        runtime.rebalance_since = None
        await runtime.deliver(P0, poll(0, 0, 3))
        return [*held, runtime.held_up(0), runtime.rebalance_s(7.0) == 0]

    assert with_runtime(body, pending_bytes=1) == [False, True, True, True, True]
