"""What topics are now: how many partitions they have, and whether another took one's name.

Kafka tells topics apart by an id. aiokafka does not ask for it, kafka-python does, so this is the one module
of a worker with that library's client, which blocks, and gets threads of its own.
"""

import asyncio
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.worker.client.knock import knock
from streams.worker.config import WorkerConfig
from streams.worker.errors import LogRecreated, LogUnknown
from streams.worker.values import KafkaTopic

T = TypeVar("T")
# a flush waits no longer than that for Kafka's answer; the next one asks again
PATIENCE_S = 1.0
# of an answer: a hundred thousand partitions
MOST_BYTES = 8 * 1024 * 1024
NO_ID = UUID(int=0)


class Identities:
    """The ids that topics had when their partitions were taken on. For one event loop."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        # of the thread that asks; one at a time
        self._admin: KafkaAdminClient | None = None
        self._under_way: Future[Any] | None = None
        self._known: dict[str, str] = {}

    def keep(self, topics: Collection[str]) -> None:
        """Forget all others: no partition of theirs is held."""
        self._known = {topic: known for topic, known in self._known.items() if topic in topics}

    async def remember(self, topics: Collection[str]) -> dict[str, KafkaTopic]:
        """What Kafka says of these topics, ids as its own tools show them; those that it has.

        Raises LogUnknown when Kafka does not answer, LogRecreated when one is another than before.
        """
        found = await self._found(topics)
        # Kafka before 2.8 has no ids: where its logs begin and end has to do
        ids = {topic: now.id for topic, now in found.items() if now.id}
        for topic, known in ids.items():
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
            await self.remember(topics)

    async def close(self) -> None:
        """Leave Kafka; a thread that it does not answer ends with the process."""
        with suppress(KafkaError, OSError, TimeoutError):
            await self._in_thread(self._leave)

    async def _found(self, topics: Collection[str]) -> dict[str, KafkaTopic]:
        try:
            described = await self._in_thread(partial(self._ask, [*topics]))
        except (KafkaError, OSError, TimeoutError) as error:
            raise LogUnknown(f"Kafka does not tell the ids of its topics: {error!r}") from error
        return {
            topic["name"]: KafkaTopic(id_text(topic), len(topic["partitions"]))
            for topic in described
            if not topic["error_code"]
        }

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """What a call returns or raises that blocks, once the one before has ended; at most for a second."""
        async with asyncio.timeout(PATIENCE_S):
            while self._under_way and not self._under_way.done():
                await asyncio.wait([asyncio.wrap_future(self._under_way)])
            self._under_way = future = Future[T]()
            threading.Thread(target=_settle, args=(future, call), name="identity", daemon=True).start()
            return await asyncio.wrap_future(future)

    def _ask(self, topics: list[str]) -> list[dict[str, Any]]:
        try:
            self._admin = admin = self._admin or self._connect()
            described: list[dict[str, Any]] = admin.describe_topics(topics)
        except BaseException:
            self._leave()
            raise
        return described

    def _connect(self) -> KafkaAdminClient:
        # a client leaves a socket behind wherever nobody listens
        kafka, patience_ms = self._config.kafka, int(PATIENCE_S * 1000)
        knock(kafka.addresses, PATIENCE_S)
        return KafkaAdminClient(
            **replace(kafka, client_id=f"{kafka.client_id}-identity", request_ms=patience_ms).options(),
            # one that gives up here leaves a thread behind, so it goes on until Kafka answers
            bootstrap_timeout_ms=None,
            reconnect_backoff_max_ms=patience_ms,
            receive_message_max_bytes=MOST_BYTES,
        )

    def _leave(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


def _settle(future: "Future[T]", call: Callable[[], T]) -> None:
    future.set_running_or_notify_cancel()
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        future.set_exception(error)


def id_text(topic: dict[str, Any]) -> str:
    """Kafka's own id of a topic that kafka-python has described, as Kafka's tools show it; '' for none."""
    known = UUID(topic.get("topic_id") or str(NO_ID))
    return "" if known == NO_ID else urlsafe_b64encode(known.bytes).decode().rstrip("=")
