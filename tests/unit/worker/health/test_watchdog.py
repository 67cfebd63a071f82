"""The watchdog's own thread: it ends what stands still, and leaves alone what moves, waits or is unknown."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import pytest

from streams.kafka_access import KafkaAccess
from streams.worker.client.log_ends import LogEnds
from streams.worker.config import WorkerConfig
from streams.worker.errors import LogUnknown
from streams.worker.health.stall import Patience
from streams.worker.health.watchdog import Watchdog
from streams.worker.values import Partition
from tests.support.waiting import eventually

P0 = ("camera.events", 0)
STALL_S = 0.3


class Worker:
    """A worker as the watchdog sees it; counts how often it was looked at."""

    paused: frozenset[str] = frozenset()
    waits = False

    def __init__(self, position: Callable[[int], int] = lambda _: 5) -> None:
        self.looks = 0
        self._position = position

    def positions(self) -> Mapping[Partition, int]:
        """Where it is at this look."""
        self.looks += 1
        return {P0: self._position(self.looks)}

    def held_up(self, now_s: float) -> bool:
        """As the test says."""
        return self.waits

    def rebalance_s(self, now_s: float) -> float:
        """Never."""
        return 0.0


class Ends(LogEnds):
    """A log that goes on for ever; it can be away."""

    def __init__(self, *, away: bool = False) -> None:
        super().__init__(WorkerConfig(kafka=KafkaAccess.at("nowhere:1")), 1)
        self._away = away

    async def of(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Far ahead of everything."""
        if self._away:
            raise LogUnknown("connection refused")
        return dict.fromkeys(partitions, 10**9)


@contextmanager
def watched(
    worker: Worker, ends: Ends | None = None, **loops: asyncio.AbstractEventLoop
) -> Iterator[list[str]]:
    """The reasons for which a watchdog has ended the worker."""
    ended: list[str] = []
    watchdog = Watchdog(worker, ends or Ends(), Patience(STALL_S, 1), lambda: loops, ended.append)
    watchdog.start()
    try:
        yield ended
    finally:
        watchdog.stop()


def looked_at_for_long(worker: Worker) -> bool:
    """For three times as long as it may stand still."""
    return worker.looks > 20


def test_a_worker_that_stands_still_is_ended_once() -> None:
    """The place is named."""
    with watched(Worker()) as ended:
        eventually(lambda: ended)
    assert len(ended) == 1
    assert "camera.events[0] has stood at offset 5" in ended[0]


def test_a_worker_that_moves_is_left_alone() -> None:
    """However long it is looked at."""
    worker = Worker(lambda look: look)
    with watched(worker) as ended:
        eventually(lambda: looked_at_for_long(worker))
    assert ended == []


@pytest.mark.parametrize("reason", ["waits", "paused"])
def test_a_worker_that_may_wait_is_left_alone(reason: str) -> None:
    """For the sink, or for an operator."""
    worker = Worker()
    setattr(worker, reason, frozenset({P0[0]}))
    with watched(worker) as ended:
        eventually(lambda: looked_at_for_long(worker))
    assert ended == []


def test_without_kafka_nothing_is_known_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Once, and it goes on asking."""
    worker = Worker()
    with watched(worker, Ends(away=True)) as ended:
        eventually(lambda: looked_at_for_long(worker))
    assert ended == []
    assert caplog.text.count("Kafka does not say where its logs end") == 1


def test_a_loop_that_is_blocked_is_found_whatever_moves() -> None:
    """Another loop that answers is not blamed."""
    release, fine, blocked = threading.Event(), asyncio.new_event_loop(), asyncio.new_event_loop()
    threads = [threading.Thread(target=loop.run_forever) for loop in (fine, blocked)]
    for thread in threads:
        thread.start()
    blocked.call_soon_threadsafe(release.wait)
    try:
        with watched(Worker(lambda look: look), fine=fine, blocked=blocked) as ended:
            eventually(lambda: ended)
        assert ended[0].startswith("the blocked has not answered for ")
    finally:
        release.set()
        for loop, thread in zip((fine, blocked), threads, strict=True):
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def test_positions_that_change_while_they_are_read_are_read_again() -> None:
    """Partitions come and go in the worker's own thread."""

    class Busy(Worker):
        def positions(self) -> Mapping[Partition, int]:
            if super().positions() and self.looks % 2:
                raise RuntimeError("dictionary changed size during iteration")
            return {P0: self.looks}

    worker = Busy()
    with watched(worker) as ended:
        eventually(lambda: looked_at_for_long(worker))
    assert ended == []


def test_it_may_be_switched_off() -> None:
    """Nothing is looked at."""
    worker, ended = Worker(), list[str]()
    watchdog = Watchdog(worker, Ends(), Patience(0, 1), dict, ended.append)
    watchdog.start()
    watchdog.stop()
    assert worker.looks == 0


def test_a_broker_that_is_not_there_is_unknown_within_the_time() -> None:
    """Connection refused; the next question connects anew."""

    async def ask() -> None:
        ends = LogEnds(WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:9")), 5)
        for _ in range(2):
            with pytest.raises(LogUnknown):
                await ends.of([P0])

    began = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - began < 60
