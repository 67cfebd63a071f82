"""ClickHouse that is away, dies, hangs, breaks off, runs full, or comes back older than it was."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from infra.stack.clickhouse.server import engine_answers
from infra.stack.stack import Stack
from streams.sink import SinkUnavailable
from tests.chaos.rig import Rig, eventually
from tests.faults.conftest import Flood, NewRig
from tests.faults.disk import SmallDisk, small_disk_of

WINDOWS = ("camera_windows", "service_windows", "qr_windows")
TABLES = (*WINDOWS, "pane_ids", "late_events", "dead_letters", "progress")


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """A stack whose ClickHouse has little room."""
    with small_disk_of(tmp_path_factory.mktemp("small")) as disk:
        yield disk


def engine_of(stack: Stack) -> int:
    """The engine's process, once it has one."""
    eventually(lambda: stack.pid("clickhouse"))
    return stack.pid("clickhouse") or 0


def kill_engine(stack: Stack) -> None:
    """kill -9; it restarts by itself."""
    os.kill(engine_of(stack), signal.SIGKILL)


def engine_is_back(stack: Stack) -> bool:
    """Whether ClickHouse answers again."""
    return engine_answers(int(stack.clickhouse_http.rpartition(":")[2]))


def grown(rig: Rig, readings: list[int]) -> bool:
    """Whether more is stored than at the first reading; an engine that was frozen starts again after it."""
    with contextlib.suppress(SinkUnavailable):
        readings.append(sum(rig.positions().values()))
    return bool(readings) and readings[-1] > readings[0]


def frozen(stack: Stack, *acts: Callable[[], object]) -> None:
    """Do something to the engine's data while it can't."""
    pid = engine_of(stack)
    os.kill(pid, signal.SIGSTOP)
    try:
        for act in acts:
            act()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_away_at_start_under_load_and_at_an_assignment(
    rig: Rig, stack: Stack, flood: Flood, seed: int, pace: float
) -> None:
    """A worker waits for ClickHouse whenever it is away, and goes on unaided when it is back."""
    first, second = rig.worker(), rig.worker()
    outage_s = 60 if pace == 1 else 1
    rig.proxies[first.name].behave("refuse")
    first.start()
    feed = rig.feed(flood(seed), rate=500)
    eventually(lambda: first.said("ClickHouse"))
    rig.proxies[first.name].behave("pass")
    first.wait_ready()
    eventually(rig.positions)
    for proxy in rig.proxies.values():
        proxy.behave("refuse")
        proxy.reset()
    kill_engine(stack)
    second.start()
    time.sleep(outage_s)
    eventually(lambda: engine_is_back(stack))
    for proxy in rig.proxies.values():
        proxy.behave("pass")
    second.wait_ready()
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert first.alive
    assert second.alive


def test_killed_after_the_insert_and_before_the_answer(
    rig: Rig, stack: Stack, flood: Flood, seed: int
) -> None:
    """What was inserted, but never answered, is inserted again: nothing is counted twice."""
    rng = Random(seed)
    (worker,) = rig.start_workers(1)
    proxy = rig.proxies[worker.name]
    feed = rig.feed(flood(seed), rate=500)
    for table in rng.sample(TABLES, 3):
        proxy.spoil_insert(table, "swallow", then=lambda: kill_engine(stack))
        eventually(lambda: proxy.spoilt)
        eventually(lambda: engine_is_back(stack))
        proxy.reset()
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert worker.alive


def test_answers_that_hang_break_off_or_come_by_half(rig: Rig, flood: Flood, seed: int) -> None:
    """A connection that swallows, resets or halves what passes is given up and made anew."""
    rng = Random(seed)
    (worker,) = rig.start_workers(1)
    proxy = rig.proxies[worker.name]
    feed = rig.feed(flood(seed), rate=500)
    for answer in ("swallow", "reset", "half"):
        proxy.spoil_insert(rng.choice(TABLES), answer)
        eventually(lambda: proxy.spoilt)
    for _ in range(5):
        time.sleep(rng.uniform(0, 0.2))
        proxy.reset()
    for mode in ("half", "swallow"):
        proxy.behave(mode)
        proxy.reset()
        time.sleep(rng.uniform(0.2, 1.2))
        proxy.behave("pass")
        # what a hole has swallowed is missing on its connections for good
        proxy.reset()
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert worker.alive


def test_an_older_copy_of_the_data_heals_itself(
    rig: Rig, stack: Stack, flood: Flood, seed: int, tmp_path: Path
) -> None:
    """ClickHouse comes back with the data of a while ago: what is missing is folded again from the log."""
    rng = Random(seed)
    data, copy = stack.home / "data" / "clickhouse", tmp_path / "copy"
    (worker,) = rig.start_workers(1)
    feed = rig.feed(flood(seed), rate=600)
    eventually(lambda: sum(rig.positions().values()) > 0)
    time.sleep(rng.uniform(0.2, 1))
    frozen(stack, lambda: shutil.copytree(data, copy, symlinks=True))
    readings: list[int] = []
    # a flush that the copy holds up may take seconds, and before it ends the copy lacks nothing
    eventually(lambda: grown(rig, readings))
    time.sleep(rng.uniform(0.2, 1))
    goes_on = seed % 2 == 0
    if not goes_on:
        worker.terminate()
    with rig.watch.closed_eyes():
        frozen(stack, lambda: shutil.move(data, tmp_path / "newer"), lambda: shutil.move(copy, data))
        kill_engine(stack)
        eventually(lambda: engine_is_back(stack))
    if goes_on:
        # it notices that what it has stored is gone, and its supervisor starts it again
        assert worker.wait(30) == 1
    worker.start()
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict


def test_a_full_disk_is_waited_for(new_rig: NewRig, small_disk: SmallDisk, flood: Flood, seed: int) -> None:
    """Inserts that fail for want of space are tried again until there is some, and the log says so."""
    rig = new_rig(on=small_disk.stack)
    (worker,) = rig.start_workers(1)
    feed = rig.feed(flood(seed), rate=600)
    eventually(rig.positions)
    for _ in range(2):
        worker.log.write_bytes(b"")
        with small_disk.full(rig) as to_the_last_byte:
            # an insert that is under way may end, since the engine can lose one that finds no room half-way
            eventually(lambda: worker.said("space"))
            to_the_last_byte()
            time.sleep(Random(seed).uniform(0, 1))
        eventually(lambda: worker.said("the sink is back"), timeout_s=60)
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert worker.alive
