"""What only tests do to Kafka: delete topics, add partitions, tamper with commits, abort transactions."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import OffsetAndMetadata

from infra.kafka.access import MAX_MESSAGE_BYTES
from infra.kafka.admin import Admin
from streams.kafka_access import KafkaAccess
from tests.chaos.log import Place
from tests.chaos.traffic import Message


@contextmanager
def admin(brokers: str) -> Iterator[Any]:
    """kafka-python's own client."""
    client = KafkaAdminClient(bootstrap_servers=brokers.split(","), request_timeout_ms=20_000)
    try:
        yield client
    finally:
        client.close()


def cut(brokers: str, starts: Mapping[Place, int]) -> None:
    """Delete what lies before these offsets, as retention does."""
    with admin(brokers) as client:
        client.delete_records({TopicPartition(*place): offset for place, offset in starts.items()})


def empty(brokers: str, topics: Iterable[str], partitions: int) -> None:
    """Make the topics' logs empty; topics with another number of partitions go."""
    with Admin(KafkaAccess.at(brokers)) as known:
        found = known.topics(list(topics))
        ends, starts = known.ends(found), known.starts(found)
    wrong = [name for name, topic in found.items() if topic.partitions != partitions]
    if wrong:
        delete(brokers, wrong)
    cut(brokers, {p: end for p, end in ends.items() if end > starts[p] and p[0] not in wrong})


def delete(brokers: str, topics: Iterable[str]) -> None:
    """Delete those of the topics that are there, and wait until they are gone."""
    with admin(brokers) as client:
        if found := set(client.list_topics()) & set(topics):
            client.delete_topics(list(found))
        while set(client.list_topics()) & set(topics):
            pass


def grow(brokers: str, topic: str, partitions: int) -> None:
    """Give a topic more partitions."""
    with admin(brokers) as client:
        client.create_partitions({topic: partitions})


def commits(brokers: str, group: str) -> dict[Place, int]:
    """The committed offsets of a group."""
    with admin(brokers) as client:
        found = client.list_group_offsets(group)
    found = found.get(group, found) if isinstance(found, dict) else found
    return {(tp.topic, tp.partition): o.offset for tp, o in found.items() if o.offset >= 0}


def set_commits(brokers: str, group: str, offsets: Mapping[Place, int]) -> None:
    """Commit other offsets in the name of a group that has no members."""
    wanted = {TopicPartition(*place): OffsetAndMetadata(o, "", -1) for place, o in offsets.items()}
    with admin(brokers) as client:
        client.alter_group_offsets(group, wanted)


def delete_commits(brokers: str, group: str) -> None:
    """Forget all that a group without members has committed."""
    with admin(brokers) as client:
        client.delete_groups([group])


@contextmanager
def transactions(brokers: str, name: str) -> Iterator[Any]:
    """A transactional producer."""
    producer = KafkaProducer(
        bootstrap_servers=brokers.split(","),
        transactional_id=name,
        linger_ms=5,
        acks="all",
        metrics_enabled=False,
    )
    try:
        producer.init_transactions()
        yield producer
    finally:
        producer.close(timeout=5)


def transact(producer: Any, messages: Iterable[Message], partitions: int, *, commit: bool) -> int:
    """Send messages in one transaction, and end it; how many they were."""
    producer.begin_transaction()
    sent = [producer.send(m.topic, m.value, m.key, partition=m.sent_to(partitions)) for m in messages]
    producer.flush()
    if commit:
        producer.commit_transaction()
    else:
        producer.abort_transaction()
    return len(sent)


def send_anyhow(brokers: str, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
    """Send messages to all partitions in turn, whatever their keys."""
    producer = KafkaProducer(
        bootstrap_servers=brokers.split(","),
        linger_ms=20,
        max_request_size=MAX_MESSAGE_BYTES,
        metrics_enabled=False,
    )
    try:
        numbers = cycle(sorted(producer.partitions_for(topic)))
        sent = [producer.send(topic, value, key, partition=next(numbers)) for key, value in messages]
        producer.flush()
        for each in sent:
            each.get(timeout=60)
    finally:
        producer.close(timeout=5)


def configure(brokers: str, topic: str, config: Mapping[str, str]) -> None:
    """Set settings of a topic."""
    with admin(brokers) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))])
