"""The log as it is, read by a plain consumer: what the oracle sees of Kafka."""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from infra.kafka.batches import check_batches
from streams.core.records import MAGIC
from streams.worker.client.decompress import UNPACK_BYTES
from tests.chaos.hostile import Truth, Unread

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
    unread: bool = False


def read_log(
    brokers: str,
    topics: Iterable[str],
    begin: Mapping[Place, int] | None = None,
    timeout_s: float = 30.0,
    truths: Mapping[int, Truth] = MappingProxyType({}),
) -> Iterator[Record]:
    """All committed messages of the topics, of each partition in order, up to where it ends now.

    `begin` gives offsets to begin at, in place of the start of the log; `truths` is what is in the batches
    with these tags, whatever the client makes of them. Raises LogUnreadError when nothing
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
    tagged = Tagged(truths)
    tagged.watch(consumer)
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
                        yield from tagged.before(tp, r.offset)
                        if not tagged.holds(tp, r.offset):
                            yield Record(r.topic, r.partition, r.offset, r.timestamp, r.value)
        for tp in tps:
            yield from tagged.before(tp, ends[tp])
    finally:
        consumer.close()


class Tagged:
    """The batches of known tags in what a consumer reads: their records are those that were meant."""

    def __init__(self, truths: Mapping[int, Truth]) -> None:
        self._truths = truths
        # base and next offset, append time and what is in it, of batches that were met
        self._met: dict[TopicPartition, deque[tuple[int, int, int, Truth]]] = defaultdict(deque)
        # where the last of each partition ends, met and given out
        self._met_to: dict[TopicPartition, int] = defaultdict(int)
        self._given_to: dict[TopicPartition, int] = defaultdict(int)

    def watch(self, consumer: Any) -> None:
        """Look at each batch that the consumer reads."""
        note = self._note

        class Records(consumer._fetcher.PartitionRecords):  # type: ignore[misc]  # noqa: SLF001
            def _unpack_records(self, tp: Any, records: Any, *deserializers: Any) -> Any:
                return super()._unpack_records(tp, _Noted(records, tp, note), *deserializers)

        consumer._fetcher.PartitionRecords = Records  # noqa: SLF001 - kafka-python has no setting

    def _note(self, tp: TopicPartition, batch: Any) -> None:
        # a batch is read again where a fetch began within it
        if batch.magic < MAGIC or batch.base_offset < self._met_to[tp]:
            return
        truth = self._truths.get(batch.first_timestamp)
        if truth is not None:
            self._met_to[tp] = batch.next_offset
            self._met[tp].append((batch.base_offset, batch.next_offset, batch.max_timestamp, truth))

    def before(self, tp: TopicPartition, offset: int) -> Iterator[Record]:
        """The records of the tagged batches that begin before an offset, or at it."""
        met = self._met[tp]
        while met and met[0][0] <= offset:
            base, self._given_to[tp], append_ms, truth = met.popleft()
            for delta, value in truth:
                if isinstance(value, Unread):
                    yield Record(tp.topic, tp.partition, base + delta, append_ms, None, unread=True)
                else:
                    yield Record(tp.topic, tp.partition, base + delta, append_ms, value)

    def holds(self, tp: TopicPartition, offset: int) -> bool:
        """Whether an offset is one of the last batch that was given out."""
        return offset < self._given_to[tp]


class _Noted:
    """The batches of one fetch, each noted."""

    def __init__(self, records: Any, tp: TopicPartition, note: Callable[[TopicPartition, Any], None]) -> None:
        self._records, self._tp, self._note = records, tp, note

    def next_batch(self) -> Any:
        """The next one, if there is."""
        batch = self._records.next_batch()
        if batch is not None:
            self._note(self._tp, batch)
        return batch
