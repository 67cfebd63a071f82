"""The log as it is, read by a plain consumer: what the oracle sees of Kafka."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition

from infra.kafka.batches import check_batches
from streams.worker.client.decompress import UNPACK_BYTES

Place = tuple[str, int]

logging.getLogger("kafka").setLevel(logging.CRITICAL)


class LogUnreadError(Exception):
    """The log could not be read to its end."""


@dataclass(frozen=True, slots=True)
class Record:
    """One message; `append_ms` is when the broker appended it."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    value: bytes | None


def read_log(
    brokers: str, topics: Iterable[str], begin: Mapping[Place, int] | None = None, timeout_s: float = 30.0
) -> Iterator[Record]:
    """All committed messages of the topics, of each partition in order, up to where it ends now.

    `begin` gives offsets to begin at, in place of the start of the log. Raises LogUnreadError when nothing
    comes for `timeout_s`.
    """
    consumer = KafkaConsumer(
        bootstrap_servers=brokers.split(","),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        allow_auto_create_topics=False,
        max_poll_records=5000,
        fetch_max_wait_ms=50,
        metrics_enabled=False,
    )
    check_batches(consumer, UNPACK_BYTES)
    try:
        tps = [
            TopicPartition(topic, p)
            for topic in topics
            for p in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        consumer.assign(tps)
        starts, ends = consumer.beginning_offsets(tps), consumer.end_offsets(tps)
        for tp in tps:
            consumer.seek(tp, (begin or {}).get((tp.topic, tp.partition), starts[tp]))
        moved, at = time.monotonic(), -1
        while behind := [tp for tp in tps if consumer.position(tp) < ends[tp]]:
            if (now_at := sum(map(consumer.position, tps))) != at:
                moved, at = time.monotonic(), now_at
            if time.monotonic() > moved + timeout_s:
                raise LogUnreadError(
                    f"{behind} not read to {[ends[tp] for tp in behind]}: nothing came for {timeout_s:.0f} s"
                )
            for tp, records in consumer.poll(timeout_ms=200).items():
                for r in records:
                    if r.offset < ends[tp]:
                        yield Record(r.topic, r.partition, r.offset, r.timestamp, r.value)
    finally:
        consumer.close()
