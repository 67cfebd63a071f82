"""Which batches of a fetch belong to transactions that were aborted, by the list that Kafka sends with it."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from aiokafka.record.control_record import ABORT_MARKER, ControlRecord


class Aborted:
    """The aborted transactions of one fetch, (producer, first offset) each; batches are asked in order."""

    __slots__ = ("_producers", "_waiting")

    def __init__(self, transactions: Iterable[tuple[int, int]] | None) -> None:
        self._waiting = deque(sorted(transactions or (), key=lambda one: one[1]))
        self._producers: set[int] = set()

    def __bool__(self) -> bool:
        """Whether a batch that follows may be of one."""
        return bool(self._waiting or self._producers)

    def hides(self, batch: Any) -> bool:
        """Whether the batch is of an aborted transaction; its marker ends it."""
        if batch.producer_id is None:
            return False
        while self._waiting and self._waiting[0][1] <= batch.base_offset:
            self._producers.add(self._waiting.popleft()[0])
        if batch.is_control_batch and _is_abort(batch):
            # not `remove`: Kafka may send an abort marker for a partition that is otherwise empty
            self._producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._producers)


def _is_abort(batch: Any) -> bool:
    # one without a marker ends nothing, as Java's client has it
    marker = next(batch, None)
    return marker is not None and ControlRecord.parse(marker.key) == ABORT_MARKER
