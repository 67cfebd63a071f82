"""Clients of all kinds send and send again while whoever brings strays home is killed, frozen and cut off.

The oracle is as plain as can be: the distinct events, wherever they were sent.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from infra.stack.stack import Stack
from streams.worker.failpoints import ALL_FAILPOINTS
from tests.support.events import camera_event, message
from tests.support.oracle import totals
from tests.support.strays import by_confluent, by_kafka_python
from tests.support.waiting import eventually
from tests.support.workers import River, river

BESIDE_STRAYS = [name for name in ALL_FAILPOINTS if "strays" in name]


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic and a database of its own."""
    stack.wait_ready()
    with river(stack, tmp_path) as made:
        yield made


class Feed:
    """Sends new events and old ones from another thread, by whatever client and in whatever bundles."""

    def __init__(self, to: River, seed: int) -> None:
        self._to, self._rng = to, Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: Exception | None = None
        self.events: list[dict[str, object]] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """When what it is sending has arrived; raises what it met."""
        self._stop.set()
        self._thread.join()
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except Exception as error:  # noqa: BLE001 - it is raised where the feed is stopped
            self._failure = error

    def _turn(self) -> None:
        rng, at = self._rng, len(self.events)
        new = [
            camera_event(
                f"e{at + i}", (at + i) / 10 - rng.choice((0, 0, 400)), camera_id=f"cam-{rng.randrange(20)}"
            )
            for i in range(100)
        ]
        self.events += new
        sent = [*new, *rng.choices(self.events, k=50)]
        rng.shuffle(sent)
        size = rng.choice((1, 1, 7))
        parts = [sent[i : i + size] for i in range(0, len(sent), size)]
        keyless = rng.random() < 0.4
        messages = [
            (None if keyless else str(part[0]["camera_id"]).encode(), message(*part)) for part in parts
        ]
        rng.choice((by_confluent, by_kafka_python))(self._to.stack.brokers, self._to.name, messages)


@contextmanager
def fed(to: River, seed: int) -> Iterator[Feed]:
    """A feed that ends in any case; when it has ended by itself, all must add up."""
    feed = Feed(to, seed)
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()
    to.drain(150)
    assert to.totals() == totals(message(e) for e in feed.events)
    counts = to.counts()
    assert counts["folded"] + counts["late"] == len(feed.events)
    assert counts["strays"] > 0
    assert counts["away"] == 0


def test_killed_beside_strays_again_and_again(stream: River, seed: int) -> None:
    """Each death lets partitions go to the others, which send what was sent already."""
    rng = Random(seed)
    with fed(stream, seed):
        stream.start()
        for place in rng.choices(BESIDE_STRAYS, k=4):
            worker = stream.start(failpoints=f"{place}@{rng.randint(1, 4)}=kill")
            assert worker.wait_exit(60) == -signal.SIGKILL


def test_zombies_bring_their_strays_when_all_has_moved_on(stream: River, seed: int) -> None:
    """Frozen before and after they were sent, and woken when others have folded further."""
    with fed(stream, seed):
        sleepers = [stream.start(failpoints=f"{place}@2=stop") for place in BESIDE_STRAYS]
        for sleeper in sleepers:
            eventually(lambda pid=sleeper.process.pid: _state(pid) == "T", 60)  # type: ignore[misc] # bound now
        before = stream.folded_up_to()
        stream.start()
        eventually(lambda: all(at > before.get(p, 0) for p, at in stream.folded_up_to().items()), 60)
        for sleeper in sleepers:
            sleeper.signal(signal.SIGCONT)
        for sleeper in sleepers:
            eventually(lambda of=sleeper: "assigned" in of.log().partition("not recognized")[2], 60)  # type: ignore[misc] # bound now


def test_kafka_dies_while_strays_are_sent(stream: River, stack: Stack, seed: int) -> None:
    """kill -9 of the broker: the workers stay, and send again what it has not confirmed."""
    rng = Random(seed)
    with fed(stream, seed):
        workers = [stream.start() for _ in range(2)]
        for worker in workers:
            worker.wait_ready()
        for _ in range(2):
            sent = stream.counts()["strays"]
            eventually(lambda sent=sent: stream.counts()["strays"] > sent, 60)  # type: ignore[misc] # bound now
            time.sleep(rng.random())
            pid = stack.pid("broker")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: stack.pid("broker") not in (None, pid), 60)  # type: ignore[misc] # bound now
            stack.wait_ready()
    assert [worker.process.poll() for worker in workers] == [None, None]


def test_a_stop_does_not_wait_for_a_kafka_that_hangs(stream: River, stack: Stack, seed: int) -> None:
    """With strays under way: out within the time that a stop may take, and the next start sends them."""
    pid = stack.pid("broker")
    assert pid is not None
    with fed(stream, seed):
        worker = stream.start(failpoints="flush.before_strays@2=stop")
        eventually(lambda: _state(worker.process.pid) == "T", 60)
        os.kill(pid, signal.SIGSTOP)
        try:
            worker.signal(signal.SIGCONT)
            eventually(lambda: "Kafka has not taken the strays" in worker.log(), 30)
            began = time.monotonic()
            worker.signal(signal.SIGTERM)
            # its group does not let it go either, so that the deadline of all stops ends it
            worker.wait_exit(30)
            assert time.monotonic() - began < 20
        finally:
            os.kill(pid, signal.SIGCONT)
        stream.start()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
