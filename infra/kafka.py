"""Kafka for commands: topics, offsets, and reading a part of a log, by kafka-python.

KafkaFailureError    Kafka could not be reached, or refused; the message says what to do
└── NotSentError     messages that may not have arrived; sending them again is safe (infra.producer)
"""

import logging
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

from kafka import IsolationLevel, KafkaAdminClient, KafkaConsumer, OffsetSpec, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from infra.kafka_batches import check_batches
from streams.core.values import RecordBatch
from streams.delivery.decompress import UNPACK_BYTES

# the library logs each retry to a handler that prints by default; errors reach the user as exceptions
logging.getLogger("kafka").setLevel(logging.CRITICAL)

MAX_MESSAGE_BYTES = 8_388_608
REACH_MS = 10_000
_KNOCK_S = 5.0
_READ_MS = 60_000
_LOG_APPEND_TIME = 1


class KafkaFailureError(Exception):
    """Kafka could not be reached, or refused."""


def knock(brokers: str) -> None:
    """Raise KafkaFailureError when nobody listens: at once, where the library would try for a while."""
    problems = []
    for address in brokers.split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
        except OSError as e:
            problems.append(f"{address}: {e.strerror or e}")
        else:
            return
    raise KafkaFailureError(f"Kafka does not answer at {'; '.join(problems)}; see `songlo status`")


@contextmanager
def failures(brokers: str) -> Iterator[None]:
    """Errors of the library become KafkaFailureError."""
    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError) as e:
        raise KafkaFailureError(f"Kafka at {brokers} does not answer: {text(e)}; see `songlo status`") from e
    except KafkaError as e:
        raise KafkaFailureError(f"Kafka at {brokers}: {text(e)}") from e


def text(error: Exception) -> str:
    """One line, with the error's name."""
    name, text = type(error).__name__, " ".join(str(error).split())
    return text if text.startswith(name) else f"{name}: {text}"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is: its number of partitions and the settings that differ from the broker's own."""

    name: str
    partitions: int
    config: Mapping[str, str]


class Admin:
    """Topics and offsets; a context manager. All methods raise KafkaFailureError."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        knock(brokers)
        with failures(brokers):
            self._kafka = KafkaAdminClient(
                bootstrap_servers=brokers.split(","),
                bootstrap_timeout_ms=REACH_MS,
                request_timeout_ms=REACH_MS,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave Kafka."""
        self._kafka.close()

    def topics(self, names: Collection[str]) -> dict[str, Topic]:
        """Those of the named topics that exist."""
        with failures(self._brokers):
            present = set(self._kafka.list_topics())
            wanted = [n for n in names if n in present]
            if not wanted:
                return {}
            described = self._kafka.describe_topics(wanted)
            configs = self._kafka.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, n) for n in wanted]
            )
        return {
            t["name"]: Topic(t["name"], len(t["partitions"]), _values(configs, t["name"])) for t in described
        }

    def create(self, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Create a topic, and wait until it can be used."""
        options = {"num_partitions": partitions, "replication_factor": replication, "configs": dict(config)}
        with failures(self._brokers):
            self._kafka.create_topics({name: options}, wait_for_metadata=True)

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set settings of a topic; those not named stay."""
        with failures(self._brokers):
            self._kafka.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(config))])

    def ends(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        """The offset after the last committed message, by topic and partition."""
        return self._offsets(topics, OffsetSpec.LATEST)

    def starts(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        """By topic and partition the first offset that Kafka still has."""
        return self._offsets(topics, OffsetSpec.EARLIEST)

    def _offsets(self, topics: Collection[str], which: Any) -> dict[tuple[str, int], int]:
        found = self.topics(topics)
        wanted = {TopicPartition(t.name, p): which for t in found.values() for p in range(t.partitions)}
        if not wanted:
            return {}
        with failures(self._brokers):
            offsets = self._kafka.list_partition_offsets(wanted, IsolationLevel.READ_COMMITTED)
        return {(tp.topic, tp.partition): o.offset for tp, o in offsets.items()}


class Reader:
    """Reads committed messages from one offset to another, as workers read them; a context manager.

    All methods raise KafkaFailureError.
    """

    def __init__(self, brokers: str, unpack_bytes: int = UNPACK_BYTES) -> None:
        self._brokers = brokers
        knock(brokers)
        with failures(brokers):
            self._kafka = KafkaConsumer(
                bootstrap_servers=brokers.split(","),
                bootstrap_timeout_ms=REACH_MS,
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
        with failures(self._brokers):
            found = self._kafka.offsets_for_times(wanted) if wanted else {}
        return {(tp.topic, tp.partition): at.offset if at else None for tp, at in found.items()}

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[RecordBatch]:
        """The messages from `begin` to before `end`; those of a batch share their append time."""
        tp = TopicPartition(topic, partition)
        with failures(self._brokers):
            self._kafka.assign([tp])
            self._kafka.seek(tp, begin)
        moved = time.monotonic()
        while begin < end:
            with failures(self._brokers):
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
                    f"{topic}[{partition}] at {self._brokers}: no answer from offset {begin} on"
                )


def _append_ms(record: Any) -> int:
    if record.timestamp_type != _LOG_APPEND_TIME:
        raise KafkaFailureError(
            f"{record.topic}[{record.partition}]: it is not known when offset {record.offset} was appended, "
            "since message.timestamp.type was not LogAppendTime; `songlo topics` sets it for what is to come"
        )
    return int(record.timestamp)


def _values(configs: Any, name: str) -> dict[str, str]:
    """The settings of one topic in an answer to describe_configs."""
    found = configs.get("topic", configs.get("TOPIC", {})).get(name, {})
    return {k: str(v["value"] if isinstance(v, dict) else v) for k, v in found.items()}
