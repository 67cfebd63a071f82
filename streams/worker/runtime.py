"""What runs between Faust and the core: folding what is delivered, and holding back while too much waits."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from streams.core.breaker import Breaker, Limit
from streams.engine import Engine, choose_engine
from streams.sink import Sink, SinkError, SinkRejected
from streams.spec import StreamSpec
from streams.worker.breakers import Breakers
from streams.worker.client.identity import Identities
from streams.worker.config import WorkerConfig
from streams.worker.errors import EXIT_FAILED, EXIT_HELP, EXIT_OK, WorkerStop
from streams.worker.failpoints import Reach
from streams.worker.partitions import Partitions
from streams.worker.process.status import write_status
from streams.worker.room import Room
from streams.worker.sink_thread import SinkThread
from streams.worker.telling import Telling
from streams.worker.values import Fetched, Partition

log = logging.getLogger(__name__)

# a fold does not yield; after this long the loop gets its turn, for rebalances and heartbeats
TURN_S = 0.02
# slowed down by open windows, a worker stands still between two flushes, and is excused for so many of them
SLOW_FLUSHES = 3
# after a seek, deliveries of before may still be on their way
SEEK_PAUSE_S = 2.0


class Runtime:
    """Everything of one worker that is neither Faust's nor the core's. Lives in the main thread's loop."""

    def __init__(self, config: WorkerConfig, specs: Sequence[StreamSpec], sink: Sink, reach: Reach) -> None:
        self.config = config
        self.sink = sink
        self.sink_thread = SinkThread()
        engine, about = choose_engine(config.fold, config.library_folder, specs)
        log.info("%s", about)
        self.partitions = Partitions(specs, config.rules, engine, config.unpack_bytes)
        self.breakers = Breakers(specs, Limit(config.breaker_percent, config.breaker_events))
        self.telling = Telling()
        self.reach = reach
        self.state = "starting"
        # the versions of progress that the sink has acknowledged, or was found to have
        self.stored: dict[Partition, int] = {}
        # positions that Kafka has not taken yet
        self.uncommitted: dict[Partition, int] = {}
        self.identities = Identities(config)
        self.urgent = asyncio.Event()
        self.stopping = asyncio.Event()
        self.failure: Exception | None = None
        self.room = Room(self.partitions, config.pending_bytes, config.open_bytes, self.urgent)
        self._sought: dict[Partition, float] = {}
        self.wanted_seeks: set[Partition] = set()
        # when the rebalance, or the start, began that is under way
        self.rebalance_since: float | None = None

    @property
    def engine(self) -> Engine:
        """What folds the partitions."""
        return self.partitions.engine

    def positions(self) -> Mapping[Partition, int]:
        """Where each partition whose state is there goes on."""
        return self.partitions.positions()

    def stored_of(self, topic: str) -> dict[int, int]:
        """The version of progress that the sink must have by now of each partition of a topic held here."""
        held = self.partitions.positions()
        return {number: v for (of, number), v in self.stored.items() if of == topic and (of, number) in held}

    @property
    def paused(self) -> frozenset[str]:
        """The topics that a breaker has paused: nothing of them is to be fetched."""
        return self.breakers.paused

    def held_up(self, now_s: float) -> bool:
        """Whether nothing can be folded before a flush, or for the sink's sake; any thread may ask."""
        if self.room.slowed(now_s, SLOW_FLUSHES * self.config.flush_most_ms / 1000):
            return True
        needs_it = self.room.closed or self.rebalance_since is not None
        return needs_it and self.sink_thread.holds_up(now_s)

    def rebalance_s(self, now_s: float) -> float:
        """For how long a rebalance, or the start, has been under way, 0 when none is; any thread may ask."""
        since = self.rebalance_since
        return 0.0 if since is None else now_s - since

    def fail(self, error: Exception) -> None:
        """Stop the worker; the first failure is the one that is told."""
        if self.failure is None:
            self.failure = error
            known = isinstance(error, WorkerStop | SinkError)
            log.error("stopping: %s", error if known else repr(error), exc_info=None if known else error)
        self.stopping.set()
        self.room.give_up()

    async def deliver(self, partition: Partition, poll: Iterable[Fetched]) -> None:
        """Fold one poll of a partition, with room for each part; what a breaker has paused is let go."""
        turn_ends = time.monotonic() + TURN_S
        for fetched in poll:
            left = True
            while left:
                await self.room.wait()
                if self.stopping.is_set() or partition[0] in self.paused:
                    return
                self.reach("consume.fold")
                before = self.partitions.events(partition)
                if not self.partitions.fold(partition, fetched, self.room.left):
                    self._lost(partition, fetched)
                    return
                self._count(partition, before)
                left = self.partitions.is_left(partition, fetched)
                self.room.weigh(partition, windows=left)
                if time.monotonic() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = time.monotonic() + TURN_S
        self.room.weigh(partition, windows=True)

    def hear(self, stored: Mapping[str, Breaker]) -> None:
        """Take over what others have switched; a stream that is resumed goes on where its states stand."""
        heard = self.breakers.learn(stored)
        for topic in self.partitions.topics:
            self.partitions.skip(topic, self.breakers.of(topic))
        for topic, breaker in heard.paused.items():
            log.error("%s: %s", topic, _paused(breaker))
        for topic, breaker in heard.resumed.items():
            log.warning("%s: stream %s goes on (%s)", topic, breaker.stream, breaker.reason)
            self.wanted_seeks.update(p for p in self.positions() if p[0] == topic)
            self.urgent.set()

    def tell_refusals(self, *, rest: bool = False) -> None:
        """Say once a minute what was refused; with `rest` at once."""
        for line in self.telling.lines(time.monotonic(), rest=rest):
            log.warning("%s", line)

    def remind(self) -> None:
        """Say again what is paused."""
        for topic in sorted(self.paused):
            log.warning("%s: still %s", topic, _paused(self.breakers.of(topic)))

    def _count(self, partition: Partition, before: int) -> None:
        """Count what a batch has added; a stream that refuses too much is paused from here on."""
        refused = self.partitions.refused(partition)
        topic, number = partition
        if refused:
            self.telling.add(self.breakers.of(topic).stream, partition, refused)
        # where a replay ends, the counts go back to what is stored
        read = max(0, self.partitions.events(partition) - before - (refused.noted if refused else 0))
        if self.breakers.count(topic, read, refused, time.time_ns() // 1_000_000):
            log.error("%s[%d]: %s", topic, number, _paused(self.breakers.of(topic)))
            self.urgent.set()

    def _lost(self, partition: Partition, fetched: Fetched) -> None:
        """Batches in between did not arrive: read them again. Folding on would lose their events."""
        now = time.monotonic()
        if now - self._sought.get(partition, -SEEK_PAUSE_S) < SEEK_PAUSE_S:
            return
        self._sought[partition] = now
        topic, number = partition
        log.warning(
            "%s[%d]: offset %d was delivered, expected %d: seeking back",
            topic, number, fetched.start, self.positions().get(partition, -1),
        )  # fmt: skip
        self.wanted_seeks.add(partition)
        self.urgent.set()

    async def out_of_range(self, offsets: Mapping[Partition, int]) -> None:
        """Forget these partitions' states and have them recovered, which checks them against the log."""
        for (topic, number), offset in offsets.items():
            log.warning("%s[%d]: Kafka does not have offset %d", topic, number, offset)
        self.wanted_seeks.update(offsets)
        self.urgent.set()
        await asyncio.sleep(1)

    def tell(self, state: str | None = None) -> None:
        """Write the status file."""
        self.state = state or self.state
        message = str(self.failure) or repr(self.failure) if self.failure else ""
        try:
            write_status(
                self.config.status_path, self.state, assigned=self.partitions.assigned,
                folded=self.partitions.folded, paused=self.breakers.paused_streams, message=message,
                updated_ms=time.time_ns() // 1_000_000,
            )  # fmt: skip
        except OSError as error:
            log.warning("the status file %s can't be written: %s", self.config.status_path, error)

    @property
    def exit_code(self) -> int:
        """What the worker's parent is told."""
        if self.failure is None:
            return EXIT_OK
        return EXIT_HELP if isinstance(self.failure, WorkerStop | SinkRejected) else EXIT_FAILED


def _paused(breaker: Breaker) -> str:
    name = breaker.stream
    return (
        f"stream {name} is paused, the others go on: {breaker.reason}. Look with `songlo dlq list --stream "
        f"{name}`; what is not folded waits in Kafka. To go on: songlo resume {name}, or past what is "
        f"refused by now: songlo resume {name} --past"
    )
