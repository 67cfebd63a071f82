"""Workers that are killed at every step, at random, frozen and woken, added and removed."""

import time
from random import Random

from streams.worker.failpoints import ALL_FAILPOINTS
from tests.chaos.rig import Rig, eventually
from tests.chaos.workers import Worker
from tests.faults.conftest import PARTITIONS, Flood, Mischief, NewRig
from tests.support.kafka import commits

WINDOWS = {"camera_windows", "service_windows", "qr_windows"}
# passed only by a worker that is asked to stop
AT_STOP = "stop.before_flush"
REBALANCING = "because it is rebalancing"


def test_killed_at_each_failpoint(rig: Rig, flood: Flood, seed: int) -> None:
    """Three workers die at every step of flush, commit, recovery and rebalance; no row is wrong."""
    rng = Random(seed)
    points = [p for p in ALL_FAILPOINTS if p != AT_STOP]
    rng.shuffle(points)
    feed = rig.feed(flood(seed), rate=300)
    workers = [rig.worker() for _ in range(3)]
    running: dict[Worker, str] = {}
    died: list[str] = []

    def tend(worker: Worker) -> bool:
        """Bury a worker that has died at its failpoint, and send it to the next; whether it has none left."""
        if worker.alive:
            return False
        if point := running.pop(worker, None):
            assert worker.exit_code == -9, (point, worker.exit_code)
            died.append(point)
            rig.hits.append(point)
        if not points:
            return True
        running[worker] = points.pop()
        # a worker that is left alone is assigned its partitions once
        count = rng.randint(1, 3) if running[worker].startswith(("flush", "commit")) else 1
        worker.start(failpoints=f"{running[worker]}@{count}=kill")
        return False

    eventually(lambda: sum(map(tend, workers)) == len(workers), timeout_s=150)
    assert sorted([*died, AT_STOP]) == sorted(ALL_FAILPOINTS)
    workers[0].start(failpoints=f"{AT_STOP}=kill")
    workers[0].wait_ready()
    workers[0].ask_to_stop()
    assert workers[0].wait(20) == -9
    rig.hits.append(AT_STOP)
    feed.stop()
    rig.start_workers(1)
    verdict = rig.judge()
    assert verdict.equal, verdict


def test_three_workers_killed_at_random(rig: Rig, traffic: Mischief, seed: int, pace: float) -> None:
    """Kills at random moments, one to three workers at once, change no row."""
    rng = Random(seed)
    workers = rig.start_workers(3)
    feed = rig.feed(traffic(seed, 4000 if pace < 1 else 40_000), rate=1000)
    while feed.running:
        time.sleep(rng.uniform(3, 10) * pace)
        for worker in rng.sample(workers, rng.choice((1, 1, 2, 3))):
            worker.kill()
            worker.start()
    feed.join()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert min(verdict.late, verdict.duplicates, verdict.dead) > 100, verdict


def test_a_zombie_writes_and_changes_nothing(rig: Rig, flood: Flood, seed: int) -> None:
    """A worker sleeps in its flush beyond its session and then writes what others have counted further."""
    rng = Random(seed)
    sleeper, other = rig.worker(), rig.worker()
    sleeper.start(failpoints=f"flush.before_rows@{rng.randint(4, 9)}=stop")
    sleeper.wait_ready()
    feed = rig.feed(flood(seed), rate=700)
    eventually(lambda: sleeper.suspended)
    rig.hits.append("flush.before_rows")
    asleep_at = dict(rig.positions())
    other.start()
    eventually(lambda: len(other.assigned) == 3 * len(rig.topics))
    eventually(lambda: all(at > asleep_at.get(place, 0) for place, at in rig.positions().items()))
    written = len(rig.proxies[sleeper.name].inserts)
    sleeper.wake()
    eventually(lambda: WINDOWS & set(rig.proxies[sleeper.name].inserts[written:]))
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert sleeper.alive
    assert other.alive


def test_workers_come_and_go(rig: Rig, flood: Flood, seed: int, pace: float) -> None:
    """Workers join and leave under load, each within 20 s of SIGTERM with status 0; no row is wrong."""
    rng = Random(seed)
    workers = list(rig.start_workers(1))
    feed = rig.feed(flood(seed), rate=700)
    for _ in range(5 if pace < 1 else 50):
        if len(workers) < 3 and (len(workers) == 1 or rng.random() < 0.5):
            workers += rig.start_workers(1)
        else:
            worker = workers.pop(rng.randrange(len(workers)))
            code, seconds = worker.terminate()
            assert (code, seconds < 20) == (0, True), (code, seconds)
        time.sleep(rng.uniform(0, 3) * pace)
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict


def test_a_member_that_is_slow_to_rejoin_stirs_no_storm(new_rig: NewRig, flood: Flood, seed: int) -> None:
    """Who waits for it goes on flushing; a commit among that would begin the next rebalance, without end."""
    rig = new_rig(session_ms=40_000)
    sleeper, waits, joins = rig.worker(), rig.worker(), rig.worker()
    for worker in (sleeper, waits):
        worker.start(flush_ms=500)
        worker.wait_ready()
    feed = rig.feed(flood(seed), rate=500)
    eventually(lambda: len(rig.positions()) == PARTITIONS * len(rig.topics))
    sleeper.stop()
    joins.start(flush_ms=500)
    eventually(lambda: REBALANCING in waits.log.read_text())
    for _ in range(3):
        told_ms = waits.status["updated_ms"]
        eventually(lambda told_ms=told_ms: waits.status["updated_ms"] > told_ms, timeout_s=12)
    sleeper.wake()
    joins.wait_ready()
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    said = waits.log.read_text()
    assert "OffsetCommit failed" not in said
    # its own start, the wait, and one that Kafka may put off
    assert said.count(" assigned ") <= 3, said


def test_a_stop_under_load_loses_no_time(rig: Rig, traffic: Mischief, seed: int) -> None:
    """SIGTERM in the middle of a backlog: out within 20 s with status 0, and little is left to replay."""
    rng = Random(seed)
    rig.feed(traffic(seed, 10_000)).join()
    worker = rig.worker()
    worker.start()
    eventually(lambda: sum(rig.positions().values()) > 1000 * rng.random())
    code, seconds = worker.terminate()
    assert (code, seconds < 20) == (0, True), (code, seconds)
    assert rig.positions().items() <= commits(rig.stack.brokers, rig.name).items()
    worker.start()
    verdict = rig.judge()
    assert verdict.equal, verdict
