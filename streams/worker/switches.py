"""What a worker does about refused events: counts and tells them, pauses and resumes streams by switches."""

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial

from streams.core.breaker import Breaker
from streams.sink import Sink
from streams.worker.breakers import Breakers
from streams.worker.partitions import Partitions
from streams.worker.seeks import Seeks
from streams.worker.sink_thread import SinkThread
from streams.worker.telling import Telling
from streams.worker.values import Partition

log = logging.getLogger(__name__)


class Switches:
    """The breakers of all streams, shared with all workers by way of the sink; `wake` asks to store them."""

    def __init__(self, breakers: Breakers, partitions: Partitions, seeks: Seeks, wake: asyncio.Event) -> None:
        self.breakers = breakers
        self._partitions, self._seeks, self._wake = partitions, seeks, wake
        self._telling = Telling()

    @property
    def paused(self) -> frozenset[str]:
        """The topics of which nothing is to be fetched or folded; any thread may ask."""
        return self.breakers.paused

    def count(self, partition: Partition, before: int) -> None:
        """Count what a fold has added to `before` events; a stream that refuses too much is paused."""
        refused = self._partitions.refused(partition)
        topic, number = partition
        if refused:
            self._telling.add(self.breakers.of(topic).stream, partition, refused)
        # where a replay ends, the counts go back to what is stored
        read = max(0, self._partitions.events(partition) - before - (refused.noted if refused else 0))
        if self.breakers.count(topic, read, refused, time.time_ns() // 1_000_000):
            log.error("%s[%d]: %s", topic, number, _paused(self.breakers.of(topic)))
            self._wake.set()

    def learn(self, stored: Mapping[str, Breaker]) -> None:
        """Take over what others have switched; a stream that is resumed goes on where its folds stand."""
        learned = self.breakers.learn(stored)
        for topic in self._partitions.topics:
            self._partitions.skip(topic, self.breakers.of(topic))
        for topic, breaker in learned.paused.items():
            log.error("%s: %s", topic, _paused(breaker))
        for topic, breaker in learned.resumed.items():
            log.warning("%s: stream %s goes on (%s)", topic, breaker.stream, breaker.reason)
            self._seeks.add(p for p in self._partitions.positions() if p[0] == topic)

    async def store(self, sink: Sink, thread: SinkThread) -> None:
        """Write what this worker has switched. Raises SinkError."""
        for topic, breaker in list(self.breakers.unwritten.items()):
            await thread.call(partial(sink.put_breaker, breaker))
            self.breakers.written(topic, breaker)

    def tell_refusals(self, *, rest: bool = False) -> None:
        """Say once a minute what was refused; with `rest` at once."""
        for line in self._telling.lines(time.monotonic(), rest=rest):
            log.warning("%s", line)

    def remind(self) -> None:
        """Say again what is paused."""
        for topic in sorted(self.paused):
            log.warning("%s: still %s", topic, _paused(self.breakers.of(topic)))


def _paused(breaker: Breaker) -> str:
    name = breaker.stream
    return (
        f"stream {name} is paused, the others go on: {breaker.reason}. Look with `songlo dlq list --stream "
        f"{name}`; what is not folded waits in Kafka. To go on: songlo resume {name}, or past what is "
        f"refused by now: songlo resume {name} --past"
    )
