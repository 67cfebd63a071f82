"""What the consumer asks of the runtime behind it, and tells it."""

from collections.abc import Collection, Mapping
from typing import Protocol

from streams.engine import FoldEngine
from streams.worker.config import WorkerConfig
from streams.worker.values import Partition


class Delivery(Protocol):
    """The runtime as the consumer sees it."""

    config: WorkerConfig

    @property
    def engine(self) -> FoldEngine:
        """What folds; the topics that it has compiled are wanted as they stand in the log."""

    @property
    def paused(self) -> Collection[str]:
        """The topics of which nothing is to be fetched."""

    def positions(self) -> Mapping[Partition, int]:
        """Where each partition whose fold is there goes on."""

    def failpoint(self, name: str) -> None:
        """Pass a failpoint."""

    def fail(self, error: Exception) -> None:
        """Stop the worker, with this as its last word."""

    async def out_of_range(self, offsets: Mapping[Partition, int]) -> None:
        """Kafka does not have these offsets: tell a passing state from a cut log, and act."""
