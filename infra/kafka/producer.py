"""Sending to Kafka for certain, for commands that produce."""

from collections import deque
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError

from infra.kafka.access import (
    MAX_MESSAGE_BYTES,
    KafkaFailureError,
    connection,
    failures,
    knock,
    text,
)
from streams.core.home import partition_of
from streams.kafka_access import KafkaAccess

_BATCH_BYTES = 262_144
_LINGER_MS = 50
_METADATA_MS = 5_000
_DELIVERY_MS = 120_000
_WINDOW = 20_000
_CACHED_KEYS = 100_000


class NotSentError(KafkaFailureError):
    """Some messages may not have arrived; duplicates are removed, so sending all again is safe."""


class Producer:
    """Sends keyed messages for certain: all replicas, idempotent, every acknowledgement waited for.

    A context manager; leaving it without an error waits for what is on its way.
    """

    def __init__(self, access: KafkaAccess) -> None:
        self._access = access
        knock(access)
        with failures(access):
            self._kafka = KafkaProducer(
                **connection(access),
                max_block_ms=_METADATA_MS,
                delivery_timeout_ms=_DELIVERY_MS,
                acks="all",
                enable_idempotence=True,
                batch_size=_BATCH_BYTES,
                linger_ms=_LINGER_MS,
                max_request_size=MAX_MESSAGE_BYTES,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        self._partitions: dict[str, int] = {}
        self._cache: dict[tuple[str, bytes], int] = {}
        self._waiting: deque[Any] = deque()
        self._failed: list[Exception] = []
        self.acknowledged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def close(self) -> None:
        """Leave, without waiting for what is still on its way."""
        with failures(self._access):
            self._kafka.close(timeout=1)

    def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        """Send one message, without a value a tombstone; blocks when too many are on their way.

        It goes to the partition of its key, unless one is named. Raises KafkaFailureError.
        """
        if partition is None:
            partition = self.home(topic, key or b"")
        try:
            self._waiting.append(self._kafka.send(topic, value, key, partition=partition))
        except KafkaError as e:
            raise KafkaFailureError(f"{topic} at {self._access}: {text(e)}") from e
        if len(self._waiting) >= 2 * _WINDOW:
            self._settle(_WINDOW)

    def home(self, topic: str, key: bytes) -> int:
        """The partition of a key; raises KafkaFailureError when there is no such topic."""
        cached = (topic, key)
        partition = self._cache.get(cached)
        if partition is None:
            if len(self._cache) >= _CACHED_KEYS:
                self._cache.clear()
            partition = self._cache[cached] = partition_of(key, self.partitions(topic))
        return partition

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; raises KafkaFailureError when there is no such topic."""
        if topic not in self._partitions:
            try:
                found = self._kafka.partitions_for(topic)
            except KafkaError as e:
                raise KafkaFailureError(
                    f"no topic {topic} at {self._access}: run `songlo topics` ({e})"
                ) from e
            self._partitions[topic] = len(found)
        return self._partitions[topic]

    def flush(self) -> None:
        """Wait until all is acknowledged. Raises NotSentError when a message was not."""
        with failures(self._access):
            self._kafka.flush(timeout=_DELIVERY_MS / 1000)
        self._settle(0)
        if self._failed:
            raise NotSentError(
                f"{len(self._failed):,} messages were not acknowledged ({text(self._failed[0])}): "
                "send all again, duplicates are removed"
            )

    def _settle(self, leave: int) -> None:
        """Collect acknowledgements, oldest first, until no more than `leave` messages wait."""
        while len(self._waiting) > leave:
            try:
                self._waiting.popleft().get(timeout=_DELIVERY_MS / 1000)
            except KafkaError as e:
                self._failed.append(e)
            else:
                self.acknowledged += 1
