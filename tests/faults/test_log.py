"""Kafka that restarts, forgets commits, loses its log or a part of it, or grows; and aborted transactions."""

import os
import re
import signal
import time
from random import Random

from infra.kafka.admin import Admin
from infra.kafka.topics import apply, plan
from infra.operate.reads import rows
from infra.stack.kafka.broker import broker_answers
from infra.stack.stack import Stack
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.app import EXIT_HELP
from tests.chaos.attacks import ATTACKS
from tests.chaos.log import Place, Record, read_log
from tests.chaos.oracle import Oracle
from tests.chaos.readings import READINGS
from tests.chaos.rig import Rig, eventually
from tests.chaos.stored import stored_totals
from tests.chaos.verdict import Verdict, differing, whole
from tests.faults.conftest import PARTITIONS, Flood, Mischief, NewRig
from tests.support import kafka

CAMERA = "camera.events"
STALL_S = 3


def new_topics(stack: Stack) -> None:
    """Away with topics that tests before have emptied: a broker that is killed may have records back."""
    kafka.delete(stack.brokers, READINGS)


def restart_broker(stack: Stack, number: signal.Signals) -> None:
    """End the broker, and wait until another one answers."""
    pid, port = stack.pid("broker"), int(stack.brokers.rpartition(":")[2])
    assert pid is not None
    os.kill(pid, number)
    eventually(lambda: stack.pid("broker") not in (pid, None), timeout_s=60)
    eventually(lambda: broker_answers(port), timeout_s=60)


def test_the_broker_restarts(new_rig: NewRig, stack: Stack, flood: Flood, seed: int, pace: float) -> None:
    """SIGTERM and kill -9 of the broker under load: workers rejoin and go on, unaided."""
    rng = Random(seed)
    new_topics(stack)
    # a log that has lost what was never flushed to disk is no news here
    rig = new_rig(recheck_s=10)
    workers = rig.start_workers(2)
    feed = rig.feed(flood(seed), rate=500)
    for number in rng.sample([signal.SIGTERM, signal.SIGKILL], 2) * (5 if pace == 1 else 1):
        time.sleep(rng.uniform(0.5, 5) * pace)
        restart_broker(stack, number)
        sent = feed.sent
        eventually(lambda sent=sent: feed.sent >= sent + 500, timeout_s=60)
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert all(worker.alive for worker in workers)


def test_commits_are_deleted_or_set_elsewhere(rig: Rig, traffic: Mischief, seed: int) -> None:
    """What a group has committed is for lag tools: deleted, set back or set forward, it changes nothing."""
    rng = Random(seed)
    (worker,) = rig.start_workers(1)
    for change in rng.sample(["deleted", "back", "forward"], 3):
        rig.feed(traffic(rng.randrange(1 << 30), 400, name=change)).join()
        rig.wait_caught_up()
        worker.terminate()
        rig.feed(traffic(rng.randrange(1 << 30), 200, name=f"{change}-after")).join()
        with Admin(KafkaAccess.at(rig.stack.brokers)) as admin:
            starts, ends = admin.starts(rig.topics), admin.ends(rig.topics)
        if change == "deleted":
            kafka.delete_commits(rig.stack.brokers, rig.name)
        else:
            kafka.set_commits(rig.stack.brokers, rig.name, starts if change == "back" else ends)
        worker.start()
    verdict = rig.judge()
    assert verdict.equal, verdict


def expect_help(worker_log: str, place: Place, what: str) -> None:
    """The worker's last words name the partition and what to do."""
    topic, number = place
    assert f"{topic}[{number}]" in worker_log
    assert what in worker_log


def assert_whole(rig: Rig, oracle: Oracle) -> None:
    """Every total is right, late rows and others taken together."""
    wanted = whole(oracle.totals)
    wrong = differing(wanted, whole(stored_totals(rig.server)))
    rig.verdicts.append(Verdict(events=oracle.events, rows=len(wanted), wrong_rows=wrong))
    assert wrong == [], wrong[:5]


def test_the_log_is_cut_below_what_must_be_replayed(rig: Rig, traffic: Mischief, seed: int) -> None:
    """Loud stop that names partition and command; with the gap accepted, all that Kafka still has counts."""
    rng = Random(seed)
    (worker,) = rig.start_workers(1)
    rig.feed(traffic(seed, 1500, again=0.0)).join()
    rig.wait_caught_up()
    known = list(read_log(rig.stack.brokers, rig.topics))
    worker.terminate()
    reached = rig.positions()
    rig.feed(traffic(seed, 1500, name="after", again=0.0)).join()
    # one partition keeps a part of what must be replayed, one loses also what was never folded
    inside, beyond = rng.sample([p for p in sorted(reached) if p[0] == CAMERA], 2)
    cuts = {inside: reached[inside] - 1, beyond: reached[beyond] + rng.randrange(1, 30)}
    kafka.cut(rig.stack.brokers, cuts)
    worker.start()
    assert worker.wait(60) == EXIT_HELP
    expect_help(worker.log.read_text(), min(cuts), "--accept-gap")
    worker.start(["--accept-gap"])
    rig.wait_caught_up()
    oracle = rig.new_oracle()
    for record in known:
        oracle.feed(record)
    still_there = {p: max(o, cuts.get(p, 0)) for p, o in reached.items()}
    for record in read_log(rig.stack.brokers, rig.topics, still_there):
        oracle.feed(record)
    assert_whole(rig, oracle)


def test_the_log_is_cut_under_a_running_worker(rig: Rig, traffic: Mischief, seed: int) -> None:
    """A worker that was too slow for the retention stops loudly, instead of going on behind the gap."""
    (worker,) = rig.start_workers(1)
    rig.feed(traffic(seed, 600)).join()
    rig.wait_caught_up()
    reached = rig.positions()
    worker.stop()
    rig.feed(traffic(seed, 1500, name="after")).join()
    place = Random(seed).choice([p for p in sorted(reached) if p[0] == CAMERA])
    kafka.cut(rig.stack.brokers, {place: reached[place] + 20})
    worker.wake()
    assert worker.wait(60) == EXIT_HELP
    expect_help(worker.log.read_text(), place, "--accept-gap")


def recreate(rig: Rig) -> None:
    """Delete the cameras' topic and create it again, empty."""
    kafka.delete(rig.stack.brokers, [CAMERA])
    with Admin(KafkaAccess.at(rig.stack.brokers)) as admin:
        specs = load_streams().values()
        apply(admin, plan(specs, admin.topics([s.topic for s in specs]), rig.settings), 1)


def goes_on_under_the_next_epoch(rig: Rig, known: list[Record]) -> None:
    """The worker starts, and the new log counts beside the old one, of which `known` are the records."""
    rig.workers[0].start(epoch=1)
    # offsets of the old log lie beyond the new one's end
    epochs = f"SELECT groupUniqArray(epoch) AS all FROM progress FINAL WHERE topic = '{CAMERA}'"
    eventually(lambda: rows(rig.server, epochs) == [{"all": [1]}])
    rig.wait_caught_up()
    oracle = rig.new_oracle()
    for record in known:
        oracle.feed(record)
    read = {p: o for p, o in oracle.next_offset.items() if p[0] != CAMERA}
    for record in read_log(rig.stack.brokers, rig.topics, read):
        oracle.feed(record)
    assert_whole(rig, oracle)


def test_a_topic_is_recreated(rig: Rig, traffic: Mischief, seed: int) -> None:
    """Loud stop that names the epoch; under the next epoch the new log counts beside the old one."""
    (worker,) = rig.start_workers(1)
    rig.feed(traffic(seed, 1000)).join()
    rig.wait_caught_up()
    known = list(read_log(rig.stack.brokers, rig.topics))
    running = seed % 2 == 0
    if not running:
        worker.terminate()
    recreate(rig)
    rig.feed(traffic(seed, 400, name="new")).join()
    if not running:
        worker.start()
    assert worker.wait(60) == EXIT_HELP
    assert CAMERA in worker.log.read_text()
    assert "SONGLO_EPOCH" in worker.log.read_text()
    goes_on_under_the_next_epoch(rig, known)


def test_a_topic_is_recreated_and_outgrows_the_position(
    new_rig: NewRig, stack: Stack, traffic: Mischief, seed: int
) -> None:
    """A worker that looks when the new log is longer than the old one tells them apart all the same."""
    new_topics(stack)
    sleeps = seed % 2 == 0
    # woken as a member of its group, or as one that has been expelled
    rig = new_rig(session_ms=(1000, 30_000)[seed // 2 % 2])
    (worker,) = rig.start_workers(1)
    rig.feed(traffic(seed, 300)).join()
    rig.wait_caught_up()
    known, reached = list(read_log(rig.stack.brokers, rig.topics)), rig.positions()
    if sleeps:
        worker.stop()
    else:
        worker.terminate()
    recreate(rig)
    rig.feed(traffic(seed, 1500, name="new")).join()
    with Admin(KafkaAccess.at(rig.stack.brokers)) as admin:
        ends = admin.ends([CAMERA])
    assert all(end > reached[place] for place, end in ends.items())
    if sleeps:
        worker.wake()
    else:
        # nor does it begin where a new log begins
        kafka.cut(rig.stack.brokers, dict.fromkeys(ends, 1))
        worker.start()
    assert worker.wait(60) == EXIT_HELP
    assert CAMERA in worker.log.read_text()
    assert "SONGLO_EPOCH" in worker.log.read_text()
    goes_on_under_the_next_epoch(rig, known)


def test_partitions_are_added_under_load(rig: Rig, traffic: Mischief, flood: Flood, seed: int) -> None:
    """New partitions are read from their start, by whoever gets them."""
    rig.start_workers(2)
    feed = rig.feed(flood(seed), rate=500)
    time.sleep(Random(seed).uniform(0.2, 1))
    for topic in rig.topics:
        kafka.grow(rig.stack.brokers, topic, PARTITIONS + 2)
    # a producer that knows them from its start
    rig.feed(traffic(seed, 1000, name="after", partitions=PARTITIONS + 2)).join()
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert len(rig.positions()) == len(rig.topics) * (PARTITIONS + 2)


def test_aborted_transactions_do_not_count(rig: Rig, traffic: Mischief, seed: int) -> None:
    """Of a transactional producer only what it committed is counted, whatever lies between."""
    rng = Random(seed)
    rig.start_workers(1)
    sent, committed = 0, 0
    # what is counted below are messages by the id of their one event: these kinds have none, or several
    marked = dict.fromkeys(("again", "poison", "bundle", *ATTACKS), 0)
    with kafka.transactions(rig.stack.brokers, rig.name) as producer:
        for number in range(12):
            seeded, messages, commit = rng.randrange(1 << 30), rng.randrange(1, 120), rng.random() < 0.5
            some = traffic(seeded, messages, name=f"t{number}", **marked)
            count = kafka.transact(producer, some, PARTITIONS, commit=commit)
            sent, committed = sent + count, committed + count * commit
            if rng.random() < 0.3:
                rig.feed(traffic(rng.randrange(1 << 30), 50, name=f"between{number}")).join()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert 0 < committed < sent
    # a stray is there twice
    log = list(read_log(rig.stack.brokers, rig.topics))
    assert (
        len({name for r in log for name in re.findall(rb'"event_id":"(t\d+/\d+)"', r.value or b"")})
        == committed
    )


def test_kafka_is_away_for_longer_than_a_worker_may_stand_still(
    new_rig: NewRig, stack: Stack, flood: Flood, seed: int
) -> None:
    """Waiting for Kafka, hung or dead, is no standstill: the worker stays, and goes on by itself."""
    new_topics(stack)
    rig = new_rig(recheck_s=10)
    (worker,) = rig.start_workers(1, stall_seconds=STALL_S)
    feed = rig.feed(flood(seed), rate=500)
    eventually(rig.positions)
    pid = stack.pid("broker")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2 * STALL_S)
    if seed % 2:
        os.kill(pid, signal.SIGCONT)
    else:
        restart_broker(stack, signal.SIGKILL)
    before = rig.positions()
    eventually(lambda: all(at > before.get(p, 0) for p, at in rig.positions().items()), timeout_s=60)
    feed.stop()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert worker.alive
    assert not worker.said("standing still")
