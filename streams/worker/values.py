"""What the rooms of a worker hand to each other."""

from dataclasses import dataclass

from streams.core.values import CompressedBatch, PackedBatches, Unread

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LogBounds:
    """The first offset that Kafka still holds of a partition, and the offset that comes next.

    `news` is the first offset appended after all that the stored progress counted; None when there is none,
    or nobody asked.
    `topic_id` is Kafka's own; empty where it has none (before Kafka 2.8).
    """

    start: int
    end: int
    news: int | None = None
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class KafkaTopic:
    """A topic as Kafka describes it now; `id` is Kafka's own, empty where it has none (before Kafka 2.8)."""

    id: str
    partitions: int


Batch = PackedBatches | CompressedBatch | Unread


@dataclass(frozen=True, slots=True)
class Fetched:
    """A record batch, or several, and the position that they were read from.

    Batches of a partition form a chain: each starts where the one before it ended. A hole in the log
    does not break the chain; a batch that was lost on its way does.
    """

    start: int
    batch: Batch
