"""What is asked of Kafka outside the group: are the topics as the fold needs them, and where do they end."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from streams.config import WorkerConfig
from streams.delivery.errors import LogUnknown, TopicMissing
from streams.delivery.partitions import Partition

log = logging.getLogger(__name__)

PAUSE_S = 2.0


async def wait_for_topics(config: WorkerConfig, topics: Collection[str]) -> None:
    """Return when the broker answers and has the topics.

    Raises TopicMissing when it has not: subscribing would make some brokers create them with settings of
    their own.
    """
    while True:
        try:
            known, unstamped = await _ask(config, topics)
        except (KafkaError, OSError) as error:
            log.warning("no broker answers at %s (%s); trying again", ", ".join(config.brokers), error)
            await asyncio.sleep(PAUSE_S)
            continue
        missing = sorted(set(topics) - known)
        if missing:
            where = ", ".join(config.brokers)
            raise TopicMissing(f"Kafka at {where} has no topic {', '.join(missing)}: run `songlo topics`")
        for topic in unstamped:
            log.warning(
                "topic %s keeps its producers' times (message.timestamp.type=CreateTime), so one fast "
                "clock can make all events late there; `songlo topics` sets LogAppendTime", topic,
            )  # fmt: skip
        return


async def _ask(config: WorkerConfig, topics: Collection[str]) -> tuple[set[str], list[str]]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(config.brokers),
        client_id=config.client_id,
        request_timeout_ms=config.request_ms,
    )
    try:
        await admin.start()
        known = set(await admin.list_topics())
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(known & set(topics))]
        answers = await admin.describe_configs(wanted) if wanted else []
    finally:
        await admin.close()
    unstamped = [
        name
        for answer in answers
        for _, _, _, name, entries in answer.resources
        for entry in entries
        if entry[0] == "message.timestamp.type" and entry[1] != "LogAppendTime"
    ]
    return known, unstamped


class LogEnds:
    """Asks Kafka, and connects again after a failure. For one event loop.

    A client of its own, which answers also when the worker's hangs.
    """

    def __init__(self, config: WorkerConfig, timeout_s: float) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._client: aiokafka.AIOKafkaConsumer | None = None

    async def of(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offset after the last committed message of each partition; raises LogUnknown.

        Without partitions it is only asked whether Kafka is there.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                client = self._client or await self._connect()
                if not partitions:
                    await client.topics()
                    return {}
                ends = await client.end_offsets([aiokafka.TopicPartition(*p) for p in partitions])
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise LogUnknown(repr(error)) from error
        return {(tp.topic, tp.partition): end for tp, end in ends.items()}

    async def close(self) -> None:
        """Leave Kafka."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await client.stop()

    async def _connect(self) -> aiokafka.AIOKafkaConsumer:
        self._client = client = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=list(self._config.brokers),
            client_id=f"{self._config.client_id}-watchdog",
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            request_timeout_ms=self._config.request_ms,
        )
        await client.start()
        return client
