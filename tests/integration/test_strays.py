"""Exact whoever sends: real clients with their own partitioners, null keys, bundles; what stops a worker."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.worker.errors import EXIT_HELP, EXIT_OK
from tests.support.clickhouse import ask
from tests.support.events import camera_event, message
from tests.support.kafka import configure, grow
from tests.support.oracle import totals
from tests.support.strays import by_confluent, by_kafka_python
from tests.support.waiting import eventually
from tests.support.workers import River, Stack, Worker, river

Events = list[dict[str, object]]


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic, a database, and no worker yet."""
    with river(stack, tmp_path) as made:
        yield made


def made(count: int, seed: int = 1) -> Events:
    """Distinct events of 40 cameras over half an hour, some of them minutes late."""
    rng = random.Random(seed)
    return [
        camera_event(
            f"e{seed}-{i}",
            i * 1800 / count - rng.choice((0, 0, 0, 400)),
            camera_id=f"cam-{rng.randrange(40)}",
            count=rng.randint(1, 3),
        )
        for i in range(count)
    ]


def keyed(events: Events) -> list[tuple[bytes | None, bytes]]:
    """A message of each event with its camera as the key, as devices send."""
    return [(str(e["camera_id"]).encode(), message(e)) for e in events]


def keyless(events: Events) -> list[tuple[bytes | None, bytes]]:
    """A message of each event, without a key."""
    return [(None, value) for _, value in keyed(events)]


def stop(worker: Worker) -> None:
    """As it is meant."""
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit(20) == EXIT_OK


def two_clients(to: River, events: Events) -> None:
    """The same by clients whose partitioners differ."""
    by_kafka_python(to.stack.brokers, to.name, keyed(events))
    by_confluent(to.stack.brokers, to.name, keyed(events))


def confluent_then_produce(to: River, events: Events) -> None:
    """A device's client, and then a person with `songlo produce`."""
    by_confluent(to.stack.brokers, to.name, keyed(events))
    to.produce([(key or b"", value) for key, value in keyed(events)])


def null_keys_twice(to: River, events: Events) -> None:
    """To partitions that the clients choose, of which no two runs choose the same."""
    by_kafka_python(to.stack.brokers, to.name, keyless(events))
    by_confluent(to.stack.brokers, to.name, keyless(events))


def bundled_reversed_singly(to: River, events: Events) -> None:
    """A hundred in a bundle, the bundle turned round, and each by itself."""
    for at in range(0, len(events), 100):
        part = events[at : at + 100]
        by_confluent(to.stack.brokers, to.name, [(None, message(*part)), (b"gateway", message(*part[::-1]))])
        by_kafka_python(to.stack.brokers, to.name, keyed(part))


def cured_client(to: River, events: Events) -> None:
    """librdkafka told to choose as Kafka's own clients do, before and after kafka-python."""
    by_confluent(to.stack.brokers, to.name, keyed(events), partitioner="murmur2_random")
    by_kafka_python(to.stack.brokers, to.name, keyed(events))


@pytest.mark.parametrize(
    ("send", "stray"),
    [
        (two_clients, True),
        (confluent_then_produce, True),
        (null_keys_twice, True),
        (bundled_reversed_singly, True),
        (cured_client, False),
    ],
)
def test_each_distinct_event_counts_once(
    stream: River, send: Callable[[River, Events], None], stray: bool
) -> None:
    """Whatever their partitions were; and the cure that is advised leaves no strays."""
    events = made(1_000)
    send(stream, events)
    stream.start()
    stream.drain()
    assert stream.totals() == totals(message(e) for e in events)
    counts = stream.counts()
    assert counts["folded"] + counts["late"] == len(events)
    assert (counts["strays"] > 0, counts["away"], counts["dead"]) == (stray, 0, 0)


def test_partitions_that_are_added_change_no_home(stream: River) -> None:
    """Clients choose among five from then on, where homes stay among three: repeats are still found."""
    events = made(1_000)
    worker = stream.start(metadata_ms=500)
    worker.wait_ready()
    by_kafka_python(stream.stack.brokers, stream.name, keyed(events))
    stream.drain()
    assert stream.counts()["strays"] == 0
    grow(stream.stack.brokers, stream.name, 5)
    by_kafka_python(stream.stack.brokers, stream.name, keyed(events))
    stream.drain()
    assert stream.totals() == totals(message(e) for e in events)
    assert ask(stream.server, "SELECT DISTINCT partitions FROM homes") == [(3,)]
    assert stream.counts()["strays"] > 0


def test_strays_may_count_where_they_are(stream: River) -> None:
    """As the setting says where a topic is met first; later the decision stays, and the log says so."""
    events = made(500)
    by_confluent(stream.stack.brokers, stream.name, keyed(events))
    worker = stream.start(strays="count")
    stream.drain()
    assert stream.totals() == totals(message(e) for e in events)
    counts = stream.counts()
    assert (counts["strays"], 0 < counts["away"] < 500) == (0, True)
    stop(worker)
    second = stream.start()
    second.wait_ready()
    assert second.log().count("SONGLO_STRAYS=forward takes effect") == 1


def refused(worker: Worker) -> str:
    """What a worker says that has stopped until a person has acted."""
    assert worker.wait_exit() == EXIT_HELP
    return str(worker.status()["message"])


def test_what_was_counted_without_homes_is_not_gone_on_with(stream: River) -> None:
    """By the version before; and of a rehoming that was interrupted."""
    stream.produce([(key or b"", value) for key, value in keyed(made(200))])
    worker = stream.start()
    stream.drain()
    stop(worker)
    for change, words in (("forward = false", "interrupted"), ("homes = 0", "no homes")):
        ask(stream.server, f"ALTER TABLE progress UPDATE {change} WHERE true SETTINGS mutations_sync = 1")
        said = refused(stream.start())
        assert all(word in said for word in (words, stream.name, "songlo topics --rehome")), said


def test_a_topic_that_takes_no_message_of_strays_is_named(stream: River) -> None:
    """Nothing behind them was stored: with the limit as it should be they are counted."""
    events = made(300)
    by_confluent(stream.stack.brokers, stream.name, keyed(events))
    configure(stream.stack.brokers, stream.name, {"max.message.bytes": "1000"})
    said = refused(stream.start())
    assert all(word in said for word in (stream.name, "max.message.bytes", "songlo topics")), said
    configure(stream.stack.brokers, stream.name, {"max.message.bytes": "8388608"})
    stream.start()
    stream.drain()
    assert stream.totals() == totals(message(e) for e in events)


def test_killed_beside_its_strays(stream: River) -> None:
    """Before they are sent, and when they are and nothing tells: they are sent again, and count once."""
    events = made(2_000)
    by_confluent(stream.stack.brokers, stream.name, keyed(events[:1_000]))
    for place in ("flush.before_strays", "flush.after_strays"):
        worker = stream.start(failpoints=f"{place}=kill")
        assert worker.wait_exit() == -signal.SIGKILL
    zombie = stream.start(failpoints="flush.after_strays=stop")
    eventually(lambda: _stopped(zombie.process.pid), 60)
    two_clients(stream, events)
    stream.start()
    stream.drain()
    zombie.signal(signal.SIGCONT)
    eventually(lambda: "assigned" in zombie.log().partition("not recognized")[2], 60)
    stream.drain()
    assert stream.totals() == totals(message(e) for e in events)


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
