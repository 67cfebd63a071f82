"""Strays in tests: clients that make them, each by its own defaults, and a sender where none may be."""

from collections.abc import Iterable, Sequence

from confluent_kafka import Producer as ConfluentProducer
from kafka import KafkaProducer

from streams.core.values import StrayMessage

# those of a message, of which the key may be none
Messages = Iterable[tuple[bytes | None, bytes]]


def none_sent(strays: Sequence[StrayMessage]) -> None:
    """Where homes are not reckoned there are none."""
    raise AssertionError(f"{len(strays)} messages of strays were sent")


def by_kafka_python(brokers: str, topic: str, messages: Messages) -> None:
    """Send by kafka-python as it comes: murmur2 of the key, without one any partition."""
    producer = KafkaProducer(bootstrap_servers=brokers.split(","), metrics_enabled=False)
    try:
        sent = [producer.send(topic, value, key) for key, value in messages]
        producer.flush()
        for each in sent:
            each.get(timeout=60)
    finally:
        producer.close(timeout=5)


def by_confluent(brokers: str, topic: str, messages: Messages, **settings: object) -> None:
    """Send by confluent-kafka as it comes: CRC32 of the key, without one any partition."""
    producer = ConfluentProducer({"bootstrap.servers": brokers, **settings})
    failed = list[object]()
    for key, value in messages:
        producer.produce(topic, value, key, on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(60) == 0
    assert failed == []
