"""Workers on a real Kafka and ClickHouse: exact after kills and rebalances, loud when they must stop."""

import random
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import TopicPartition

from streams.worker.errors import EXIT_FAILED, EXIT_HELP, EXIT_OK
from tests.support.events import camera_event, message
from tests.support.oracle import totals
from tests.support.proxy import Proxy
from tests.support.waiting import eventually
from tests.support.workers import River, Stack, river


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic, a database, and no worker yet."""
    with river(stack, tmp_path) as made:
        yield made


def made(count: int, seed: int, start: int = 0) -> list[tuple[bytes, bytes]]:
    """Keyed camera events over an hour, 8 % sent twice, 3 % seven minutes late."""
    rng = random.Random(seed)
    sent: list[tuple[bytes, bytes]] = []
    for i in range(start, start + count):
        late_s = 420 if rng.random() < 0.03 else 0
        camera = f"cam-{rng.randrange(40)}"
        event = camera_event(
            f"e{i}", i * 3600 / (start + count) - late_s, camera_id=camera, count=rng.randint(1, 3)
        )
        sent.append((camera.encode(), message(event)))
        if rng.random() < 0.08:
            sent.append(rng.choice(sent))
    return sent


def values(sent: list[tuple[bytes, bytes]]) -> list[bytes]:
    """Without the keys."""
    return [value for _, value in sent]


def test_what_was_produced_is_in_the_windows(stream: River) -> None:
    """Duplicates once, late events too, every offset accounted for; SIGTERM ends the worker."""
    sent = made(5_000, seed=1)
    stream.produce(sent)
    worker = stream.start()
    stream.drain()
    assert stream.totals() == totals(values(sent))
    assert stream.conserved()
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit(20) == EXIT_OK
    assert worker.status()["state"] == "stopping"


@pytest.mark.parametrize(
    "place",
    ["flush.captured", "flush.before_ids", "flush.before_progress", "commit.before"],
)
def test_a_kill_inside_a_flush_changes_no_total(stream: River, place: str) -> None:
    """Killed at its second flush; the next worker replays what the first had not finished."""
    sent = made(3_000, seed=2)
    first, second = sent[:1_500], sent[1_500:]
    stream.produce(first)
    worker = stream.start(failpoints=f"{place}@2=kill")
    worker.wait_ready()
    stream.produce(second)
    assert worker.wait_exit() == -signal.SIGKILL
    stream.start()
    stream.drain()
    assert stream.totals() == totals(values(sent))
    assert stream.conserved()


def test_workers_that_come_and_go_while_events_flow(stream: River) -> None:
    """Partitions move between three workers, two of which end, one without a word."""
    sent = made(8_000, seed=3)
    parts = [sent[a:b] for a, b in pairwise([0, 2_000, 4_000, 6_000, len(sent)])]
    workers = [stream.start()]
    for part, change in zip(parts, ["start", "start", "kill", "term"], strict=True):
        stream.produce(part)
        if change == "start":
            workers.append(stream.start())
            workers[-1].wait_ready()
        elif change == "kill":
            workers[0].signal(signal.SIGKILL)
        else:
            workers[1].signal(signal.SIGTERM)
    stream.drain()
    assert workers[1].wait_exit(20) == EXIT_OK
    assert stream.totals() == totals(values(sent))
    assert stream.conserved()


def test_a_zombie_that_wakes_writes_and_changes_nothing(stream: River) -> None:
    """Stopped before its rows, replaced by another worker, then woken: its insert comes last."""
    sent = made(3_000, seed=4)
    zombie = stream.start(failpoints="flush.before_rows@2=stop")
    zombie.wait_ready()
    # a little at a time: one flush that took all of it would be the only one
    parts = iter([sent[i : i + 50] for i in range(0, len(sent), 50)])

    def asleep() -> bool:
        stream.produce(next(parts, []))
        return _stopped(zombie.process.pid)

    eventually(asleep, 30)
    stream.start()
    stream.produce([event for part in parts for event in part])
    stream.drain()
    zombie.signal(signal.SIGCONT)
    eventually(lambda: "assigned" in zombie.log().partition("not recognized")[2], 60)
    stream.drain()
    assert stream.totals() == totals(values(sent))
    assert stream.conserved()


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_sink_that_is_away_is_waited_for(stream: River) -> None:
    """Away at the start, then again in the midst; the worker stays in its group and needs no help."""
    sent = made(3_000, seed=5)
    with Proxy(stream.stack.clickhouse) as proxy:
        proxy.mode = "cut"
        worker = stream.start(clickhouse=proxy.address)
        eventually(lambda: "the sink is away" in worker.log(), 60)
        proxy.mode = "pass"
        worker.wait_ready()
        stream.produce(sent[:1_500])
        stream.drain()
        proxy.mode = "cut"
        stream.produce(sent[1_500:])
        eventually(lambda: worker.log().count("the sink is away") > 3, 60)
        proxy.mode = "pass"
        stream.drain()
        assert worker.process.poll() is None
        assert stream.totals() == totals(values(sent))


def test_aborted_transactions_are_not_counted_and_not_waited_for(stream: River) -> None:
    """One transaction aborted, one committed; the log ends with a marker, and a drain gets behind it."""
    producer = KafkaProducer(bootstrap_servers=stream.stack.brokers, transactional_id=stream.name)
    producer.init_transactions()
    for name, end in (("yes", producer.commit_transaction), ("no", producer.abort_transaction)):
        producer.begin_transaction()
        for i in range(50):
            producer.send(stream.name, message(camera_event(f"{name}{i}", i)), b"key", partition=0)
        producer.flush()
        end()
    producer.close()
    stream.start()
    stream.drain()
    assert stream.totals() == totals([message(camera_event(f"yes{i}", i)) for i in range(50)])


def test_a_topic_that_is_not_there_stops_the_worker(stream: River) -> None:
    """Subscribing might create it with settings of the broker's own."""
    worker = stream.start(topic="never-made")
    assert worker.wait_exit() == EXIT_HELP
    assert "never-made" in worker.status()["message"]
    assert "songlo topics" in worker.status()["message"]


def test_a_group_that_refuses_the_worker_stops_it(stream: River) -> None:
    """Others have its name, with other assignors; aiokafka tells only who fetches through it."""
    other = KafkaConsumer(
        stream.name,
        bootstrap_servers=stream.stack.brokers,
        group_id=stream.name,
        partition_assignment_strategy=[RangePartitionAssignor],
    )
    eventually(lambda: other.poll(timeout_ms=100) is not None and bool(other.assignment()))
    worker = stream.start()
    try:
        assert worker.wait_exit() == EXIT_FAILED
    finally:
        other.close(autocommit=False)
    assert "InconsistentGroupProtocol" in worker.status()["message"]


def test_a_log_cut_below_the_replay_stops_loudly_until_the_gap_is_accepted(stream: River) -> None:
    """The message names the place; accepting goes on, and windows that were right stay right."""
    before, after = made(2_000, seed=6), made(2_000, seed=7, start=2_000)
    stream.produce(before)
    worker = stream.start()
    stream.drain()
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit(20) == EXIT_OK
    stored = stream.totals()
    admin = KafkaAdminClient(bootstrap_servers=stream.stack.brokers)
    admin.delete_records({TopicPartition(stream.name, p): end for p, end in stream.ends().items()})
    admin.close()

    refused = stream.start()
    assert refused.wait_exit() == EXIT_HELP
    assert f"{stream.name}[" in refused.status()["message"]
    assert "--accept-gap" in refused.status()["message"]

    stream.produce(after)
    stream.start(accept_gap=True)
    stream.drain()
    both = totals(values(before) + values(after))
    assert stored == totals(values(before))
    assert stream.totals() == both


def test_a_topic_that_was_made_anew_stops_loudly(stream: River) -> None:
    """Stored positions lie behind the end of the new log; a new epoch counts it on top of the old one."""
    before, after = made(2_000, seed=8), made(1_000, seed=9, start=2_000)
    stream.produce(before)
    worker = stream.start()
    stream.drain()
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit(20) == EXIT_OK
    admin = KafkaAdminClient(bootstrap_servers=stream.stack.brokers)
    admin.delete_topics([stream.name])
    eventually(lambda: stream.name not in admin.list_topics(), 30)
    admin.create_topics({stream.name: {"num_partitions": 3, "replication_factor": 1}})
    admin.close()
    refused = stream.start()
    assert refused.wait_exit() == EXIT_HELP
    assert "SONGLO_EPOCH to 1" in refused.status()["message"]
    stream.produce(after)
    stream.start(epoch=1)
    both = totals(values(before) + values(after))
    eventually(lambda: stream.totals() == both, 60)
