"""A part of a log, read by offsets: committed messages only."""

import time
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition

from infra.kafka.access import MAX_MESSAGE_BYTES, KafkaFailureError, connection, failures, knock
from infra.kafka.batches import check_batches
from streams.core.values import RecordBatch
from streams.kafka_access import KafkaAccess
from streams.worker.client.decompress import UNPACK_BYTES

_READ_MS = 60_000
_LOG_APPEND_TIME = 1


class LogReader:
    """Reads committed messages from one offset to another, as workers read them; a context manager.

    All methods raise KafkaFailureError.
    """

    def __init__(self, access: KafkaAccess, unpack_bytes: int = UNPACK_BYTES) -> None:
        self._access = access
        knock(access)
        with failures(access):
            self._kafka = KafkaConsumer(
                **connection(access),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
                max_poll_records=10_000,
                metrics_enabled=False,
            )
            check_batches(self._kafka, unpack_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kafka.close()

    def first_since(self, times_ms: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int | None]:
        """Of each partition the first offset appended at its time or later; None when there is none."""
        wanted = {TopicPartition(*place): ms for place, ms in times_ms.items()}
        with failures(self._access):
            found = self._kafka.offsets_for_times(wanted, _READ_MS) if wanted else {}
        return {(tp.topic, tp.partition): at.offset if at else None for tp, at in found.items()}

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[RecordBatch]:
        """The messages from `begin` to before `end`; those of a batch share their append time."""
        tp = TopicPartition(topic, partition)
        with failures(self._access):
            self._kafka.assign([tp])
            self._kafka.seek(tp, begin)
        moved = time.monotonic()
        while begin < end:
            with failures(self._access):
                records = self._kafka.poll(timeout_ms=500).get(tp, ())
                position = self._kafka.position(tp)
            for append_ms, group in groupby((r for r in records if r.offset < end), _append_ms):
                messages = list(group)
                offsets = [r.offset for r in messages]
                yield RecordBatch(
                    offsets[0], offsets[-1] + 1, append_ms, [r.value for r in messages], offsets
                )
            if position > begin:
                begin, moved = position, time.monotonic()
            elif time.monotonic() > moved + _READ_MS / 1000:
                raise KafkaFailureError(
                    f"{topic}[{partition}] at {self._access}: no answer from offset {begin} on"
                )


def _append_ms(record: Any) -> int:
    if record.timestamp_type != _LOG_APPEND_TIME:
        raise KafkaFailureError(
            f"{record.topic}[{record.partition}]: it is not known when offset {record.offset} was appended, "
            "since message.timestamp.type was not LogAppendTime; `songlo topics` sets it for what is to come"
        )
    return int(record.timestamp)
