"""Which partitions have lost their place: they are checked against the log, then sought again."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping

from streams.worker.values import Partition

log = logging.getLogger(__name__)

# after a seek, deliveries of before may still be on their way
PAUSE_S = 2.0


class Seeks:
    """Partitions that are to be sought; `wake` is set when there are new ones."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake = wake
        self._wanted: set[Partition] = set()
        self._at: dict[Partition, float] = {}

    @property
    def wanted(self) -> Collection[Partition]:
        """Those that wait for it."""
        return frozenset(self._wanted)

    def add(self, partitions: Iterable[Partition]) -> None:
        """Have these sought soon."""
        self._wanted.update(partitions)
        self._wake.set()

    def take(self, held: Collection[Partition]) -> list[Partition]:
        """Those that are to be sought now, as far as they are held; none of them waits any more."""
        wanted, self._wanted = self._wanted, set()
        return [partition for partition in wanted if partition in held]

    def gap(self, partition: Partition, delivered: int, expected: int) -> None:
        """Batches in between did not arrive: read them again. Folding on would lose their events."""
        now = time.monotonic()
        if now - self._at.get(partition, -PAUSE_S) < PAUSE_S:
            return
        self._at[partition] = now
        topic, number = partition
        log.warning(
            "%s[%d]: offset %d was delivered, expected %d: seeking back", topic, number, delivered, expected
        )
        self.add([partition])

    def out_of_range(self, offsets: Mapping[Partition, int]) -> None:
        """Kafka does not have these offsets: whether the log was cut is decided when they are sought."""
        for (topic, number), offset in offsets.items():
            log.warning("%s[%d]: Kafka does not have offset %d", topic, number, offset)
        self.add(offsets)
