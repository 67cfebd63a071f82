"""Faust's Kafka consumer with another start of partitions, own commits, and errors that stop loudly.

Three classes, since Faust has three: the listener hears of rebalances in the consumer's thread, the thread
owns aiokafka's client, the consumer is what the rest of Faust sees in the main thread.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import aiokafka
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    OffsetOutOfRangeError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.worker.client.connect import client
from streams.worker.client.delivery import Delivery
from streams.worker.client.unpack import install
from streams.worker.errors import FetchFailed, LogUnknown
from streams.worker.values import LogBounds, Partition

log = logging.getLogger(__name__)

T = TypeVar("T")
CORRUPT_LIMIT = 5
# between two looks whether there is something to fetch
IDLE_S = 0.2
# no such partition: aiokafka has nothing to hand over of it
NOWHERE = aiokafka.TopicPartition("", -1)
# mode would name the logger after this module and tell each step of a service at INFO
QUIET = logging.getLogger("faust.songlo")


class Listener(driver.ConsumerRebalanceListener):  # type: ignore[misc] # Faust has no types here
    """Holds new partitions until their true position is known, and tells the thread while it joins."""

    def __init__(self, thread: "Thread") -> None:
        super().__init__(thread)
        self.thread = thread

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Awaitable[Any]:
        """From here on the client may ask to join at any time."""
        self.thread.joins = True
        revocation: Awaitable[Any] = super().on_partitions_revoked(revoked)
        return revocation

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Nothing may be fetched from Kafka's committed offset, nor may its absence be an error.

        This runs before the fetcher does. A partition with a position that is paused is left alone by it.
        """
        for tp in assigned:
            self.thread.client.seek(tp, 0)
            self.thread.client.pause(tp)
        try:
            await super().on_partitions_assigned(assigned)
        finally:
            self.thread.joins = False


class Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust has no types here
    """The thread with aiokafka's client.

    `connected` is whether that has been started, `joins` whether it is between revocation and assignment.
    """

    logger = QUIET
    client: aiokafka.AIOKafkaConsumer
    connected = joins = False
    _corrupt = 0

    @property
    def delivery(self) -> Delivery:
        """The runtime."""
        delivery: Delivery = self.transport.delivery
        return delivery

    async def on_start(self) -> None:
        """What unpacks a fetch is replaced before there is any."""
        install(self.delivery.engine, self.delivery.config.unpack_bytes, self.delivery.failpoint)
        await super().on_start()
        self.connected = True

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        self.client = client(transport.delivery.config)
        return self.client

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """What has been fetched, by partition; called in the main thread. A failure is told, not raised."""
        # a copy: Faust empties the set while the thread waits, and aiokafka takes an empty one for all
        paused = self.delivery.paused
        active = {tp for tp in active_partitions or () if tp.topic not in paused}
        if not active:
            await asyncio.sleep(min(timeout, IDLE_S))
            return {}
        try:
            records = await super().getmany(active, timeout)
        except OffsetOutOfRangeError as error:
            await self._lost_place(error)
        except CorruptRecordException as error:
            await self._corrupted(error)
        except KafkaError as error:
            self.delivery.fail(FetchFailed(f"Kafka refuses a fetch: {error!r}: see the broker's log"))
            await asyncio.sleep(1)
        else:
            self._corrupt = 0
            return records
        return {}

    async def _lost_place(self, error: OffsetOutOfRangeError) -> None:
        """The log was cut below the position, or is shorter than it: the delivery decides which, loudly."""
        offsets = {(tp.topic, tp.partition): offset for tp, offset in error.args[0].items()}
        await self.delivery.out_of_range(offsets)

    async def _corrupted(self, error: CorruptRecordException) -> None:
        """Damage on the wire heals when the batch is fetched again, damage on the broker's disk does not."""
        self._corrupt += 1
        log.warning("a record batch is damaged (%s), fetching it again", error)
        if self._corrupt >= CORRUPT_LIMIT:
            reason = f"{error}: damaged {CORRUPT_LIMIT} times in turn, so it is damaged on the broker's disk"
            self.delivery.fail(FetchFailed(f"{reason}: restore that partition from a replica"))
        await asyncio.sleep(1)


class Consumer(driver.Consumer):  # type: ignore[misc] # Faust has no types here
    """Seeks to where the folds want to go on, whatever Kafka has as committed."""

    RebalanceListener = Listener
    logger = QUIET
    thread: Thread

    def _new_consumer_thread(self) -> Thread:
        self.thread = Thread(self, loop=self.loop, beacon=self.beacon)
        return self.thread

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every partition whose fold is there, and let it be fetched; the others stay held."""
        delivery = self.thread.delivery
        delivery.failpoint("recover.before_seek")
        positions = {TP(*partition): offset for partition, offset in delivery.positions().items()}
        done = await self.in_thread(self._seek_and_resume(positions))
        delivery.failpoint("recover.after_seek")
        return done

    async def _seek_and_resume(self, positions: Mapping[TP, int]) -> Mapping[TP, int]:
        consumer = self.thread.client
        assigned = consumer.assignment()
        done = {tp: offset for tp, offset in positions.items() if tp in assigned}
        for tp, offset in done.items():
            at = driver.ensure_aiokafka_TP(tp)
            consumer.seek(at, offset)
            consumer.resume(at)
        return done

    async def commit_positions(self, positions: Mapping[Partition, int], timeout_s: float) -> bool:
        """Commit to Kafka, for its lag tools; False when it did not take them, which harms nothing."""
        return await self.in_thread(self._commit_own(positions, timeout_s))

    async def _commit_own(self, positions: Mapping[Partition, int], timeout_s: float) -> bool:
        consumer = self.thread.client
        # behind a request to join Kafka reads it as one of the last generation, and aiokafka joins once more:
        # with a commit in each such wait the rebalances of a group never end
        if self.thread.joins:
            return False
        assigned = consumer.assignment()
        offsets = {tp: offset for p, offset in positions.items() if (tp := TP(*p)) in assigned}
        if not offsets:  # all revoked in the meantime, and aiokafka refuses an empty commit
            return False
        try:
            await asyncio.wait_for(
                consumer.commit({driver.ensure_aiokafka_TP(tp): o for tp, o in offsets.items()}), timeout_s
            )
        except (CommitFailedError, IllegalStateError):
            # another worker has these partitions by now; the sink's progress is what counts
            return False
        except (KafkaError, TimeoutError) as error:
            log.warning("Kafka did not take the commit (%s), it goes with the next one", repr(error))
            return False
        return True

    async def log_bounds(self, counted_ms: Mapping[Partition, int | None]) -> dict[Partition, LogBounds]:
        """What Kafka holds of these partitions, each with the append time up to which all is counted.

        Where that is None nothing is asked of times: for the answer a broker unpacks a whole batch, and dies
        of one that is larger than its memory. Raises LogUnknown when it does not answer.
        """
        try:
            return await self.in_thread(self._log_bounds({TP(*p): ms for p, ms in counted_ms.items()}))
        except KafkaError as error:
            raise LogUnknown(f"where it begins and ends: {error!r}") from error

    async def _log_bounds(self, counted_ms: Mapping[TP, int | None]) -> dict[Partition, LogBounds]:
        consumer = self.thread.client
        wanted = {driver.ensure_aiokafka_TP(tp): ms for tp, ms in counted_ms.items()}
        # at once: a fetch that is under way holds up the answers to each of them by half a second
        starts, ends, news = await asyncio.gather(
            consumer.beginning_offsets(wanted),
            consumer.end_offsets(wanted),
            consumer.offsets_for_times({tp: ms + 1 for tp, ms in wanted.items() if ms is not None}),
        )
        first = {tp: found.offset for tp, found in news.items() if found}
        return {(tp.topic, tp.partition): LogBounds(starts[tp], ends[tp], first.get(tp)) for tp in wanted}

    async def check(self) -> None:
        """Raise what the group's coordinator has refused for good: only callers of `getmany` are told."""
        if self.thread.connected and self.thread_loop:
            await self.in_thread(self._check())

    async def _check(self) -> None:
        # within a rebalance it would wait for the end of that, though what it raises it raises at once
        with suppress(TimeoutError, ConsumerStoppedError):
            async with asyncio.timeout(0):
                await self.thread.client.getmany(NOWHERE, timeout_ms=0)

    @property
    def thread_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the consumer's thread, while it runs."""
        loop = self.thread.thread_loop
        return loop if loop.is_running() else None

    async def in_thread(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the consumer's thread, past Faust's method queue, where a slow call would block fetches."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.thread.thread_loop))


class Transport(driver.Transport):  # type: ignore[misc] # Faust has no types here
    """Makes Faust use this consumer; `delivery` is what the consumer asks and tells."""

    Consumer = Consumer
    delivery: Delivery
