"""Where the logs end, asked by a client of its own: for whoever watches the worker."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

import aiokafka
from aiokafka.errors import KafkaError

from streams.worker.config import WorkerConfig
from streams.worker.errors import LogUnknown
from streams.worker.values import Partition


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
        kafka = self._config.kafka
        self._client = client = aiokafka.AIOKafkaConsumer(
            **replace(kafka, client_id=f"{kafka.client_id}-watchdog").options(),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        await client.start()
        return client
