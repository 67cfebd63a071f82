"""Sends strays home, by the one producer of a worker: made when there are any, and anew when it has failed.

Each send is waited for, and may be repeated whole: at home an event counts once, however often it arrives.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import aiokafka
from aiokafka import errors

from streams.core.strays import MESSAGE_BYTES
from streams.core.values import StrayMessage
from streams.worker.client.refused import PASSING, REFUSED, no_such_home, sentence
from streams.worker.config import WorkerConfig
from streams.worker.errors import StraysRefused
from streams.worker.waiting import LONGEST_PAUSE_S, RECHECKS, Insistence

log = logging.getLogger(__name__)

SaySo = Callable[[], Awaitable[object]]

# as `songlo topics` lets messages of a topic be
REQUEST_BYTES = 8 * 1024 * 1024
# messages that are on their way at once, each to another partition
AT_ONCE = 32
CLOSE_S = 2.0
# one may come from a broker that has lost a producer's state, so many do not
MOST_REFUSALS = 10
# a send that takes longer hangs, whatever Kafka says
LONGEST_SEND_S = 1800.0


class StraySender:
    """For one event loop, and one send at a time."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._insistence = Insistence("Kafka", PASSING)
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._sends_since: float | None = None
        # answers in turn that a producer does not try again
        self._refusals = 0

    async def send(self, topic: str, messages: Sequence[StrayMessage], say_so: SaySo) -> None:
        """Return once Kafka has them all, however long it is away; raises StraysRefused.

        `say_so` is called right before each try, and may raise: a worker may have been frozen since the last.
        """
        self._sends_since = time.monotonic()
        try:
            attempt = partial(self._attempt, topic, messages, say_so)
            await self._insistence.until_done(attempt, f"strays of {topic}")
        finally:
            self._sends_since = None

    def holds_up(self, now_s: float) -> bool:
        """Whether a send is under way that may take so long; any thread may ask."""
        since = self._sends_since
        return since is not None and now_s - since < LONGEST_SEND_S

    async def close(self) -> None:
        """Leave Kafka, without waiting long for what is still on its way."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(errors.KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await producer.stop()

    async def _attempt(self, topic: str, messages: Sequence[StrayMessage], say_so: SaySo) -> None:
        """One try by one producer, which is no longer used once it has failed."""
        work = asyncio.ensure_future(self._deliver(topic, messages, say_so))
        began = time.monotonic()
        try:
            # what is passing is tried again by the producer itself, which does not say for how long by now
            while not (await asyncio.wait([work], timeout=LONGEST_PAUSE_S))[0]:
                waited_s = time.monotonic() - began
                log.warning("Kafka has not taken the strays of %s yet, after %.0f s", topic, waited_s)
            work.result()
        except PASSING as error:
            await self.close()
            self._refusals += isinstance(error, errors.BrokerResponseError) and not error.retriable
            if isinstance(error, REFUSED) or self._refusals == MOST_REFUSALS:
                raise StraysRefused(sentence(topic, self._config.kafka, error)) from error
            raise
        else:
            self._refusals = 0
        finally:
            work.cancel()

    async def _deliver(self, topic: str, messages: Sequence[StrayMessage], say_so: SaySo) -> None:
        producer = self._producer or await self._connect()
        by_home: dict[int, list[bytes]] = {}
        for message in messages:
            by_home.setdefault(message.home, []).append(message.value)
        await self._look_for(producer, topic, by_home)
        await say_so()
        lanes = asyncio.Semaphore(AT_ONCE)

        async def send_all(home: int, values: Iterable[bytes]) -> None:
            async with lanes:
                for value in values:
                    await producer.send_and_wait(topic, value, partition=home)

        sends = (send_all(home, values) for home, values in by_home.items())
        # nothing is on its way any more where one has failed: a producer can be left then
        for failure in await asyncio.gather(*sends, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _connect(self) -> aiokafka.AIOKafkaProducer:
        self._producer = producer = aiokafka.AIOKafkaProducer(
            **self._config.kafka.options(),
            enable_idempotence=True,
            acks="all",
            # no batch is larger than the largest message
            max_batch_size=MESSAGE_BYTES,
            max_request_size=REQUEST_BYTES,
            metadata_max_age_ms=self._config.metadata_ms,
        )
        await producer.start()
        return producer

    async def _look_for(self, producer: aiokafka.AIOKafkaProducer, topic: str, homes: Iterable[int]) -> None:
        """Return when Kafka has these partitions; a broker that has just come back may not know them yet."""
        for rechecks in range(RECHECKS + 1):
            known = await producer.partitions_for(topic)
            if not (absent := set(homes) - known):
                return
            if rechecks == RECHECKS:
                raise StraysRefused(no_such_home(topic, min(absent), len(known)))
            await asyncio.sleep(self._config.recheck_ms / 1000 / RECHECKS)
            await producer.client.force_metadata_update()
