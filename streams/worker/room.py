"""Room for what is folded: how much more may wait for a flush, and when the open windows slow a worker down.

What waits is captured by a flush, and then it is under way to the sink while as much waits again: `bytes` of
each at most, whatever is sent. Open windows can't be captured: they close when later events are folded, so
above `open_bytes` folding goes on, but with one poll between two flushes.
"""

import asyncio
import logging
import time

from streams.worker.partitions import Partitions
from streams.worker.values import Partition

log = logging.getLogger(__name__)

# nothing more is folded with less than this share of the room left: each stop has its price
LEAST_SHARE = 8
REMIND_S = 60.0


class Room:
    """Whether a worker may fold on. Lives in the loop of the runtime; `urgent` asks for a flush at once."""

    def __init__(self, partitions: Partitions, most: int, most_open: int, urgent: asyncio.Event) -> None:
        self._partitions, self._most, self._most_open, self._urgent = partitions, most, most_open, urgent
        self._there = asyncio.Event()
        self._there.set()
        self._made_at = time.monotonic()
        self._told_at = -REMIND_S
        self._given_up = False

    @property
    def closed(self) -> bool:
        """Whether folding waits for a flush."""
        return not self._there.is_set()

    @property
    def left(self) -> int:
        """How many more bytes may come to wait."""
        return max(self._most - self._partitions.pending_bytes, self._most // LEAST_SHARE)

    async def wait(self) -> None:
        """Until there is room; of several that wait each is woken in turn, and finds it gone or not."""
        while self.closed and not self._given_up:
            await self._there.wait()

    def weigh(self, partition: Partition, *, windows: bool) -> None:
        """After a fold; with `windows` also what its open windows hold, which may be done once a poll."""
        self._partitions.weigh(partition, windows=windows)
        full = self._partitions.pending_bytes > self._most - self._most // LEAST_SHARE
        if full or (windows and self._is_slow):
            self._there.clear()
            self._urgent.set()

    def made(self) -> None:
        """After a capture: fold on, since what waited has been taken away."""
        self._made_at = time.monotonic()
        if self._is_slow:
            self._tell()
        self._there.set()

    def give_up(self) -> None:
        """The worker stops: nobody is to wait for room any more."""
        self._given_up = True
        self._there.set()

    def slowed(self, now_s: float, patience_s: float) -> bool:
        """Whether open windows hold folding up, and flushes come; any thread may ask."""
        return self.closed and self._is_slow and now_s - self._made_at < patience_s

    @property
    def _is_slow(self) -> bool:
        return self._partitions.open_bytes > self._most_open

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_at < REMIND_S:
            return
        self._told_at = now
        log.warning(
            "open windows hold %d MB, more than SONGLO_OPEN_MB=%d: folding one poll between two flushes "
            "until windows close; more workers share them, a lower SONGLO_DISORDER_SECONDS closes them",
            self._partitions.open_bytes >> 20,
            self._most_open >> 20,
        )
