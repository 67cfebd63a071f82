"""The partitions that this worker holds: their folds, what waits to be flushed, and where each goes on.

No Faust and no I/O here: partitions are (topic, number), which is what Faust's TP compares equal to.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from streams.core.breaker import Breaker
from streams.core.fold import ENDLESS, Fold
from streams.core.framing import CorruptBatch
from streams.core.late_duplicates import CACHED_BY_ONE, CACHED_IDS, LateDeduplicator
from streams.core.refusals import RefusalSummary
from streams.core.rules import Rules
from streams.core.values import Changes, Progress
from streams.engine import PLAIN, FoldEngine
from streams.spec import StreamSpec
from streams.worker.client.decompress import UNPACK_BYTES, opened
from streams.worker.errors import FoldFailed
from streams.worker.values import Fetched, Partition


@dataclass(frozen=True, slots=True)
class Held:
    """A partition's fold, and the settler that its captured changes pass in order."""

    spec: StreamSpec
    fold: Fold
    deduplicator: LateDeduplicator


@dataclass(frozen=True, slots=True)
class Captured:
    """What one partition has to flush."""

    spec: StreamSpec
    deduplicator: LateDeduplicator
    changes: Changes


class Partitions:
    """States by partition. Everything here is synchronous, so a capture never sees half a batch."""

    def __init__(
        self,
        specs: Iterable[StreamSpec],
        rules: Rules,
        engine: FoldEngine = PLAIN,
        unpack_bytes: int = UNPACK_BYTES,
    ) -> None:
        self.engine = engine
        self._unpack_bytes = unpack_bytes
        self._specs = {spec.topic: spec for spec in specs}
        self._rules = rules
        self._held: dict[Partition, Held] = {}
        self._breakers: dict[str, Breaker] = {}
        self._pending: dict[Partition, int] = {}
        self._open: dict[Partition, int] = {}

    @property
    def specs(self) -> Collection[StreamSpec]:
        """All streams."""
        return self._specs.values()

    @property
    def topics(self) -> Collection[str]:
        """The topics of all streams."""
        return self._specs.keys()

    @property
    def assigned(self) -> list[Partition]:
        """The partitions held, in order."""
        return sorted(self._held)

    @property
    def pending_bytes(self) -> int:
        """About how much waits to be flushed, as of each partition's last fold."""
        return sum(self._pending.values())

    @property
    def open_bytes(self) -> int:
        """About how much open windows hold, as of when each partition was last weighed with them."""
        return sum(self._open.values())

    @property
    def folded(self) -> int:
        """Events folded, as the held partitions' progress counts them."""
        return sum(held.fold.folded for held in self._held.values())

    @property
    def strays(self) -> dict[str, int]:
        """Events sent home by stream, as the held partitions' progress counts them."""
        strays = dict.fromkeys((spec.name for spec in self.specs), 0)
        for held in self._held.values():
            strays[held.spec.name] += held.fold.progress.strays
        return strays

    def empty(self, partition: Partition) -> Progress:
        """The progress of a partition of which nothing is stored."""
        topic, number = partition
        return Progress(self._specs[topic].name, topic, number)

    def missing(self, assigned: Iterable[Partition]) -> set[Partition]:
        """The partitions of `assigned` that have no fold yet; folds of others are dropped.

        A fold that stays is as good as a new one, even if another worker held the partition in between:
        it is a function of the log up to its position, and so is all that the other one wrote.
        """
        wanted = {(p[0], p[1]) for p in assigned if p[0] in self._specs}
        for lost in self._held.keys() - wanted:
            del self._held[lost]
            self._pending.pop(lost, None)
            self._open.pop(lost, None)
        self._share()
        return wanted - self._held.keys()

    def _share(self) -> None:
        """Give each partition's settler its part of the ids that a worker may remember."""
        for held in self._held.values():
            held.deduplicator.capacity = min(CACHED_BY_ONE, CACHED_IDS // len(self._held))

    def add(self, progress: Progress) -> None:
        """Take a partition on, from this progress."""
        spec = self._specs[progress.topic]
        fold = self.engine.new_fold(spec, self._rules, progress)
        self._held[progress.topic, progress.partition] = Held(spec, fold, LateDeduplicator())
        self._share()
        if known := self._breakers.get(progress.topic):
            self.skip(progress.topic, known)

    def skip(self, topic: str, breaker: Breaker) -> None:
        """From now on only note what is refused before the places that the breaker is past."""
        self._breakers[topic] = breaker
        for (of, number), held in self._held.items():
            if of == topic:
                held.fold.refusals.note_below = breaker.note_below(number, held.fold.progress.epoch)

    def positions(self) -> Mapping[Partition, int]:
        """The next offset that each fold expects."""
        return {partition: held.fold.position for partition, held in self._held.items()}

    def fold(self, partition: Partition, fetched: Fetched, room: int = ENDLESS) -> bool:
        """Fold a batch; False when batches before it are missing. A partition not held is ignored.

        Where more than `room` bytes would wait then, it stops before the end (see `is_left`).
        """
        held = self._held.get(partition)
        if held is None:
            return True
        if fetched.start > held.fold.position:
            return False
        topic, number = partition
        try:
            # not before its turn, so that no two unpacked batches are there at once
            batch = opened(fetched.batch, self._unpack_bytes, self._rules.limits.letter_bytes)
            held.fold.fold(batch, room)
        except CorruptBatch as error:
            raise FoldFailed(f"{topic}[{number}]: {error}. Nothing from there on was flushed") from error
        except Exception as error:
            first, last = fetched.batch.base_offset, fetched.batch.next_offset - 1
            raise FoldFailed(
                f"{topic}[{number}]: folding offsets {first} to {last} failed with {error!r}; nothing from "
                "there on was flushed. This is a defect of Songlo"
            ) from error
        return True

    def is_left(self, partition: Partition, fetched: Fetched) -> bool:
        """Whether a part of a batch waits for room."""
        held = self._held.get(partition)
        return held is not None and fetched.start <= held.fold.position < fetched.batch.next_offset

    def events(self, partition: Partition) -> int:
        """Events read since the partition's beginning."""
        held = self._held.get(partition)
        return held.fold.events if held else 0

    def refused(self, partition: Partition) -> RefusalSummary | None:
        """What of a partition was refused since it was last asked; None when nothing was."""
        held = self._held.get(partition)
        return held.fold.refusals.since() if held else None

    def weigh(self, partition: Partition, *, windows: bool = True) -> None:
        """Take note of what a partition has waiting, and of what its open windows hold, which is not free."""
        held = self._held.get(partition)
        if held is not None:
            self._pending[partition] = held.fold.pending
            if windows:
                self._open[partition] = held.fold.open_bytes

    def capture(self) -> list[Captured]:
        """All that waits in all partitions, each together with its position."""
        captured = []
        for partition, held in self._held.items():
            changes = held.fold.capture()
            if changes is not None:
                captured.append(Captured(held.spec, held.deduplicator, changes))
            self._pending[partition], self._open[partition] = held.fold.pending, held.fold.open_bytes
        return captured
