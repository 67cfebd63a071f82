"""How far each partition is safe: what the sink has acknowledged, and what Kafka has not been told of yet."""

from collections.abc import Collection, Iterable, Mapping

from streams.core.values import Progress
from streams.worker.values import Partition


class Acknowledged:
    """Versions of progress that the sink has, and positions that Kafka has not taken, by partition."""

    def __init__(self) -> None:
        self._versions: dict[Partition, int] = {}
        self._uncommitted: dict[Partition, int] = {}

    def found(self, asked: Iterable[Partition], stored: Mapping[Partition, Progress]) -> None:
        """What the sink has of these partitions, whatever it was thought to have before."""
        for partition in asked:
            self._versions.pop(partition, None)
        self._versions |= {partition: progress.version for partition, progress in stored.items()}

    def flushed(self, progress: Progress) -> None:
        """The sink has this progress."""
        self._versions[progress.topic, progress.partition] = progress.version
        self.resumed(progress)

    def resumed(self, progress: Progress) -> None:
        """A partition goes on from this progress, of which Kafka is to hear."""
        self._uncommitted[progress.topic, progress.partition] = progress.next_offset

    def versions(self, topic: str, held: Collection[Partition]) -> dict[int, int]:
        """The version that the sink must have by now of each partition of a topic, of those held."""
        return {n: v for (of, n), v in self._versions.items() if of == topic and (of, n) in held}

    def uncommitted(self, held: Collection[Partition]) -> dict[Partition, int]:
        """The positions that Kafka has not taken, of the partitions held; others are forgotten."""
        self._uncommitted = {
            partition: at for partition, at in self._uncommitted.items() if partition in held
        }
        return dict(self._uncommitted)

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Kafka has taken these; a partition may have moved on meanwhile."""
        for partition, at in positions.items():
            if self._uncommitted.get(partition) == at:
                del self._uncommitted[partition]
