"""What runs between Faust and the core: folding what is delivered, while there is room and no cause to stop.

Each concern has its owner: what is held (`partitions`), how far it is safe (`acknowledged`), how much may
wait (`room`), what is paused (`switches`), what has lost its place (`seeks`), and the end (`ending`).
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from streams.core.breaker import Limit
from streams.engine import FoldEngine, choose_engine
from streams.sink import Sink
from streams.spec import StreamSpec
from streams.worker.acknowledged import Acknowledged
from streams.worker.breakers import Breakers
from streams.worker.client.identity import Identities
from streams.worker.client.strays import StraySender
from streams.worker.config import WorkerConfig
from streams.worker.ending import Ending
from streams.worker.failpoints import Failpoint
from streams.worker.partitions import Partitions
from streams.worker.process import status
from streams.worker.room import Room
from streams.worker.seeks import Seeks
from streams.worker.sink_thread import SinkThread
from streams.worker.stray_shares import StrayShares
from streams.worker.switches import Switches
from streams.worker.values import Fetched, Partition

log = logging.getLogger(__name__)

# a fold does not yield; after this long the loop gets its turn, for rebalances and heartbeats
TURN_S = 0.02
# slowed down by open windows, a worker stands still between two flushes, and is excused for so many of them
SLOW_FLUSHES = 3


class Runtime:
    """Everything of one worker that is neither Faust's nor the core's. Lives in the main thread's loop."""

    def __init__(
        self, config: WorkerConfig, specs: Sequence[StreamSpec], sink: Sink, failpoint: Failpoint
    ) -> None:
        self.config, self.sink, self.failpoint = config, sink, failpoint
        self.sink_thread = SinkThread()
        engine, about = choose_engine(config.fold, config.library_folder, specs)
        log.info("%s", about)
        self.partitions = Partitions(specs, config.rules, engine, config.unpack_bytes)
        self.acknowledged = Acknowledged()
        self.identities = Identities(config)
        self.strays = StraySender(config)
        self.stray_shares = StrayShares(specs)
        # topics of which it was said that their strays do not go by this worker's setting
        self.told_homes: set[str] = set()
        self.ending = Ending()
        # a flush is wanted at once; something else is to be looked after at once
        self.urgent, self.attention = asyncio.Event(), asyncio.Event()
        self.room = Room(self.partitions, config.pending_bytes, config.open_bytes, self.urgent)
        self.seeks = Seeks(self.attention)
        breakers = Breakers(specs, Limit(config.breaker_percent, config.breaker_events))
        self.switches = Switches(breakers, self.partitions, self.seeks, self.attention)
        self.state = "starting"
        # when the rebalance, or the start, began that is under way
        self.rebalance_since: float | None = None

    @property
    def engine(self) -> FoldEngine:
        """What folds the partitions."""
        return self.partitions.engine

    @property
    def paused(self) -> frozenset[str]:
        """The topics that a breaker has paused: nothing of them is to be fetched."""
        return self.switches.paused

    def positions(self) -> Mapping[Partition, int]:
        """Where each partition whose fold is there goes on."""
        return self.partitions.positions()

    def held_up(self, now_s: float) -> bool:
        """Whether nothing can be folded before a flush that waits for others; any thread may ask."""
        if self.room.slowed(now_s, SLOW_FLUSHES * self.config.flush_most_ms / 1000):
            return True
        needs_it = self.room.closed or self.rebalance_since is not None
        return needs_it and (self.sink_thread.holds_up(now_s) or self.strays.holds_up(now_s))

    def rebalance_s(self, now_s: float) -> float:
        """For how long a rebalance, or the start, has been under way, 0 when none is; any thread may ask."""
        since = self.rebalance_since
        return 0.0 if since is None else now_s - since

    def fail(self, error: Exception) -> None:
        """Stop the worker, with this as its last word unless something failed before."""
        self.ending.fail(error)
        self.room.give_up()

    async def deliver(self, partition: Partition, poll: Iterable[Fetched]) -> None:
        """Fold one poll of a partition, with room for each part; of a paused stream it is discarded."""
        turn_ends = time.monotonic() + TURN_S
        for fetched in poll:
            left = True
            while left:
                await self.room.wait()
                if self.ending.stopping.is_set() or partition[0] in self.paused:
                    return
                self.failpoint("consume.fold")
                before = self.partitions.events(partition)
                if not self.partitions.fold(partition, fetched, self.room.left):
                    self.seeks.gap(partition, fetched.start, self.positions().get(partition, -1))
                    return
                self.switches.count(partition, before)
                left = self.partitions.is_left(partition, fetched)
                self.room.weigh(partition, windows=left)
                if time.monotonic() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = time.monotonic() + TURN_S
        self.room.weigh(partition, windows=True)

    async def out_of_range(self, offsets: Mapping[Partition, int]) -> None:
        """Kafka does not have these offsets; nothing is fetched before they are sought again."""
        self.seeks.out_of_range(offsets)
        await asyncio.sleep(1)

    def write_status(self, state: str | None = None) -> None:
        """Write the status file."""
        self.state = state or self.state
        try:
            status.write_status(
                self.config.status_path, self.state, assigned=self.partitions.assigned,
                folded=self.partitions.folded, strays=self.partitions.strays,
                paused=self.switches.breakers.paused_streams,
                message=self.ending.message, updated_ms=time.time_ns() // 1_000_000,
            )  # fmt: skip
        except OSError as error:
            log.warning("the status file %s can't be written: %s", self.config.status_path, error)
