"""Calls of the sink: one thread, patience while it is away, and no patience with refusals."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from streams.sink import SinkRejected, SinkUnavailable
from streams.worker import sink_thread, waiting
from streams.worker.sink_thread import SinkThread
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries."""
    monkeypatch.setattr(waiting, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_S", 0.004)


def away(times: int) -> Callable[[], str]:
    """A call that fails so many times."""
    left = iter(range(times))

    def call() -> str:
        if next(left, None) is not None:
            raise SinkUnavailable("connection refused")
        return "there"

    return call


def test_all_calls_come_from_one_thread_in_order() -> None:
    """The client is not thread-safe."""

    async def run() -> list[str]:
        thread = SinkThread()
        return await asyncio.gather(*(thread.call(lambda: threading.current_thread().name) for _ in range(5)))

    assert asyncio.run(run()) == ["sink"] * 5


def test_a_sink_that_is_away_is_tried_until_it_is_back() -> None:
    """For ever, unless told otherwise."""
    assert asyncio.run(SinkThread().retry_until_available(away(20), "a test")) == "there"


def test_a_result_that_is_no_longer_wanted_is_not_tried_for() -> None:
    """Another rebalance has begun, or the worker must end."""
    with pytest.raises(SinkUnavailable):
        asyncio.run(SinkThread().retry_until_available(away(1), "a test", lambda: True))


def test_a_refusal_is_not_tried_again() -> None:
    """It would be refused again."""
    calls = []

    def refuse() -> None:
        calls.append(1)
        raise SinkRejected("no such table")

    with pytest.raises(SinkRejected, match="no such table"):
        asyncio.run(SinkThread().retry_until_available(refuse, "a test"))
    assert calls == [1]


def test_the_loop_goes_on_while_a_call_blocks() -> None:
    """Rebalances and heartbeats must not wait for the sink."""
    release = threading.Event()

    async def run() -> bool:
        blocked = asyncio.ensure_future(SinkThread().call(release.wait))
        await asyncio.sleep(0)
        assert not blocked.done()
        release.set()
        return await blocked

    assert asyncio.run(run())


def test_stop_ends_the_thread_after_its_work() -> None:
    """False would mean that a call hangs."""
    assert SinkThread().stop(timeout_s=5)


def test_it_is_known_whether_the_sink_holds_the_worker_up() -> None:
    """While a call is under way, unless it hangs, and while the sink is away."""
    release, thread = threading.Event(), SinkThread()

    async def run() -> None:
        now = time.monotonic()
        assert not thread.holds_up(now)
        blocked = asyncio.ensure_future(thread.call(release.wait))
        await asyncio.to_thread(eventually, lambda: thread.holds_up(now))
        assert not thread.holds_up(now + 2 * sink_thread.LONGEST_CALL_S)
        release.set()
        await blocked
        await asyncio.to_thread(eventually, lambda: not thread.holds_up(now))
        with pytest.raises(SinkUnavailable):
            await thread.retry_until_available(
                away(1), "a test", lambda: thread.holds_up(now + 2 * sink_thread.LONGEST_CALL_S)
            )
        await thread.retry_until_available(away(1), "a test")
        await asyncio.to_thread(eventually, lambda: not thread.holds_up(now))

    asyncio.run(run())
