"""Real workers: those that hang end themselves and lose nothing, those that wait stay."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.worker.errors import EXIT_FAILED, EXIT_OK, EXIT_STALLED
from tests.support.events import camera_event, message
from tests.support.oracle import totals
from tests.support.proxy import Proxy
from tests.support.waiting import eventually
from tests.support.workers import River, Stack, Worker, river

# long for a worker that starts on a busy machine, since a start may take 30 s more; short for a test
STALL_MS = 3_000


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic, a database, and no worker yet."""
    with river(stack, tmp_path, partitions=1) as made:
        yield made


def sent(first: int, count: int) -> list[tuple[bytes, bytes]]:
    """Keyed events."""
    return [(b"cam-1", message(camera_event(f"e{i}", i))) for i in range(first, first + count)]


@pytest.mark.parametrize(
    ("place", "why", "stack_of"),
    [
        ("consume.fold=hang", "event loop has not answered|has stood at offset 0", "in deliver"),
        ("consume.fetch=hang", "consumer thread has not answered|has stood at offset", "in unpacked"),
    ],
)
def test_a_worker_that_hangs_ends_itself_and_the_next_one_goes_on(
    stream: River, place: str, why: str, stack_of: str
) -> None:
    """Whichever thread hangs; the log has where, and the totals are those of all events."""
    hung = stream.start(failpoints=place, stall_ms=STALL_MS)
    hung.wait_ready()
    messages = sent(0, 500)
    stream.produce(messages)
    assert hung.wait_exit(60) == EXIT_STALLED
    log = hung.log()
    assert re.search(f"standing still: .*({why})", log)
    assert stack_of in log[log.index("The stacks of all threads") :]
    stream.start()
    stream.drain()
    assert stream.totals() == totals([value for _, value in messages])


def test_a_worker_whose_lock_is_taken_ends_all_the_same(stream: River) -> None:
    """Compiled code that does not come back lets no other thread run, not even the watchdog's."""
    hung = stream.start(failpoints="consume.fold=seize", stall_ms=STALL_MS)
    hung.wait_ready()
    stream.produce(sent(0, 10))
    assert hung.wait_exit(60) == EXIT_FAILED
    assert "in deliver" in hung.log()


def test_a_worker_that_waits_for_the_sink_stays(stream: River) -> None:
    """First at its start, then with its room used up; each for longer than it may stand still."""

    def waited(worker: Worker, times: int) -> bool:
        return worker.log().count("the sink is away") >= times

    with Proxy(stream.stack.clickhouse) as proxy:
        proxy.mode = "cut"
        worker = stream.start(clickhouse=proxy.address, stall_ms=STALL_MS, pending_bytes=1)
        eventually(lambda: waited(worker, 6), 90)
        proxy.mode = "pass"
        worker.wait_ready()
        stream.produce(sent(0, 500))
        stream.drain()
        proxy.mode = "cut"
        for first in range(500, 1_000, 100):
            stream.produce(sent(first, 100))
        eventually(lambda: waited(worker, 12), 90)
        assert worker.process.poll() is None
        proxy.mode = "pass"
        stream.drain()
        assert worker.process.poll() is None


def test_a_worker_with_nothing_to_do_stays(stream: River) -> None:
    """One has the only partition and nothing to read, the other has none; both leave when asked."""
    workers = [stream.start(stall_ms=1_000) for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    stream.produce(sent(0, 10))
    stream.drain()
    with pytest.raises(AssertionError, match="still"):
        eventually(lambda: any(w.process.poll() is not None for w in workers), 5, "two idle workers")
    for worker in workers:
        worker.signal(signal.SIGTERM)
    assert [worker.wait_exit() for worker in workers] == [EXIT_OK, EXIT_OK]
