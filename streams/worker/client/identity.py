"""Whether a topic is still the one whose log was read: another of the same name may have taken its place.

Kafka tells them apart by an id. aiokafka 0.14 speaks no version of the metadata request that has it (10, of
Kafka 2.8), so that version is spelt out here.
"""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Collection
from contextlib import suppress
from io import BytesIO

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from streams.worker.config import WorkerConfig
from streams.worker.errors import LogRecreated, LogUnknown

# a flush waits no longer than that for Kafka's answer; the next one asks again
PATIENCE_S = 1.0
NO_ID = bytes(16)


class Identities:
    """The ids that topics had when their partitions were taken on. For one event loop."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._client: AIOKafkaClient | None = None
        self._known: dict[str, str] = {}

    def keep(self, topics: Collection[str]) -> None:
        """Forget all others: no partition of theirs is held."""
        self._known = {topic: known for topic, known in self._known.items() if topic in topics}

    async def take_on(self, topics: Collection[str]) -> dict[str, str]:
        """The ids of these topics, as Kafka's own tools show them; empty for a Kafka that has none.

        Raises LogUnknown when Kafka does not answer, LogRecreated when one is another than before.
        """
        found = await self._found(topics)
        for topic, known in found.items():
            if self._known.setdefault(topic, known) != known:
                raise LogRecreated(
                    f"{topic}: another topic has this name by now, so it was deleted and created again: "
                    "restore it, or start again with SONGLO_EPOCH raised by one to count the new log as well"
                )
        return found

    async def check(self, topics: Collection[str]) -> None:
        """Raise LogRecreated when one of these topics is another than before.

        While Kafka does not answer nothing is known, and nothing new can be read either.
        """
        with suppress(LogUnknown):
            await self.take_on(topics)

    async def close(self) -> None:
        """Leave Kafka."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await client.close()

    async def _found(self, topics: Collection[str]) -> dict[str, str]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                client = self._client or await self._connect()
                answer = await client.send(client.get_random_node(), _Ask(topics))
        except NotImplementedError:
            # Kafka before 2.8 has no ids: where its logs begin and end has to do
            return {}
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise LogUnknown(f"Kafka does not tell the ids of its topics: {error!r}") from error
        return {
            name: urlsafe_b64encode(known).decode().rstrip("=")
            for error, name, known, *_ in answer.topics
            if not error and known != NO_ID
        }

    async def _connect(self) -> AIOKafkaClient:
        self._client = client = AIOKafkaClient(
            bootstrap_servers=list(self._config.brokers),
            client_id=f"{self._config.client_id}-identity",
            request_timeout_ms=self._config.request_ms,
        )
        await client.bootstrap()
        return client


class _Uuid(AbstractType):  # type: ignore[misc] # aiokafka has no types here
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


_TEXT, _TAGS = CompactString("utf-8"), ("tags", TaggedFields)
_PARTITION = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    _TAGS,
)
_TOPIC = (
    ("error_code", Int16),
    ("name", _TEXT),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("operations", Int32),
    _TAGS,
)
_BROKER = (("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS)


class _Answer(Response):  # type: ignore[misc] # aiokafka has no types here
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("operations", Int32),
        _TAGS,
    )


class _Question(RequestStruct):  # type: ignore[misc] # aiokafka has no types here
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), _TAGS)),
        ("create", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        _TAGS,
    )


class _Ask(Request[_Question]):  # type: ignore[misc] # aiokafka has no types here
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, version: type[_Question]) -> _Question:
        return version([(NO_ID, topic, {}) for topic in self._topics], False, False, False, {})
