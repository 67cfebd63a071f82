"""aiokafka's unpacking of a fetch, one object for many Kafka record batches instead of one per message.

aiokafka builds a ConsumerRecord of eleven fields for every message, two thirds of what its client costs.
Here batches stay whole and compressed, and for the compiled fold they stay together; the duties of the
original stay with them: the CRC, aborted transactions and control batches, a start in the middle of a batch,
and the position of the next fetch.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition

from streams.core.records import MAGIC, framed
from streams.core.values import PackedBatches
from streams.engine import PLAIN, FoldEngine
from streams.worker.client.aborted import Aborted
from streams.worker.client.decompress import UNPACK_BYTES
from streams.worker.client.record_batches import COMPRESSION, CONTROL, TRANSACTIONAL, WholeRecords
from streams.worker.values import Batch, Fetched


class BatchRecords:
    """The record batches of one fetch from an offset on, in place of aiokafka's `PartitionRecords`.

    Iterating yields `Fetched`. Batches without messages for us (control, aborted, emptied by compaction) come
    out empty, so that the position moves past them. Topics that the engine has compiled get many at once.
    Raises CorruptRecordException when a CRC is wrong; the batch is fetched again.
    """

    def __init__(
        self,
        tp: TopicPartition,
        records: WholeRecords,
        aborted: Iterable[tuple[int, int]] | None,
        offset: int,
        engine: FoldEngine = PLAIN,
        unpack_bytes: int = UNPACK_BYTES,
    ) -> None:
        # aiokafka reads it whenever it has taken enough
        self.next_fetch_offset = offset
        self._tp, self._source, self._aborted = tp, records, Aborted(aborted)
        self._library = engine.library if tp.topic in engine.compiled else None
        self._unpack_bytes = unpack_bytes
        self._fetched = self._unpack()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Fetched:
        return next(self._fetched)

    def _unpack(self) -> Iterator[Fetched]:
        while self._source.has_next():
            batches = self._next_run()
            for batch in self._next_batch() if batches is None else (batches,):
                if batch.next_offset > self.next_fetch_offset:
                    start, self.next_fetch_offset = self.next_fetch_offset, batch.next_offset
                    yield Fetched(start, batch)

    def _next_run(self) -> PackedBatches | None:
        """The next batches, as long as they need nothing but folding."""
        if self._library is None:
            return None
        stops = COMPRESSION | CONTROL | (TRANSACTIONAL if self._aborted else 0)
        return self._source.next_run(self._library.run, stops)

    def _next_batch(self) -> Iterator[Batch]:
        raw = self._source.next_batch()
        if not raw.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        visible = not self._aborted.hides(raw) and not raw.is_control_batch
        return unpack(raw, self.next_fetch_offset, self._unpack_bytes, visible=visible)


def unpack(raw: Any, wanted: int, unpack_bytes: int, *, visible: bool = True) -> Iterator[Batch]:
    """The messages of a raw batch from the offset `wanted` on; nothing when it ends before."""
    if raw.next_offset <= wanted:
        return
    if raw.magic < MAGIC:
        yield from raw.messages(wanted, unpack_bytes)
    elif visible:
        yield raw.batch()
    else:
        yield framed(raw.base_offset, raw.next_offset, raw.max_timestamp, 0, b"")


def install(engine: FoldEngine, unpack_bytes: int, failpoint: Callable[[str], None]) -> None:
    """From now on all consumers of aiokafka in this process unpack by batches: it has no setting for it.

    What they are told of checksums and transactions is passed over: both are always looked at.
    """

    def unpacked(
        tp: TopicPartition, records: Any, aborted: Any, offset: int, *_settings: object
    ) -> BatchRecords:
        failpoint("consume.fetch")
        return BatchRecords(tp, records, aborted, offset, engine, unpack_bytes)

    # the names by which its fetcher finds the two; public, and pinned by tests/contract
    fetcher.PartitionRecords, fetcher.MemoryRecords = unpacked, WholeRecords
