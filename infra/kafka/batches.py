"""kafka-python reads batches as the workers do: what can't be read is passed over, and nothing fills memory.

Its own reading ends at a header that is no text, unpacks without a bound, and counts what a worker refuses.
"""

from collections.abc import Iterator
from typing import Any

from kafka.consumer.fetcher import Fetcher
from kafka.record.default_records import DefaultRecord

from streams.core.framing import CorruptBatch, unpack
from streams.core.limits import Limits
from streams.core.records import HEADER, MAGIC
from streams.core.values import CompressedBatch, PackedBatches, RecordBatch
from streams.worker.client.decompress import opened

# nothing is kept of what can't be read
NO_LETTERS = Limits(letter_bytes=1, bundle_events=1)


class CheckedBatch:
    """One of kafka-python's batches, its records read by the core; raises ValueError for a broken log."""

    def __init__(self, batch: Any, unpack_bytes: int) -> None:
        self._batch = batch
        self._unpack_bytes = unpack_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        if self._batch.magic != MAGIC:
            yield from self._batch
            return
        batch = opened(_whole(self._batch), self._unpack_bytes, NO_LETTERS.letter_bytes)
        if not isinstance(batch, PackedBatches):
            return
        try:
            for piece in unpack(batch, NO_LETTERS):
                if isinstance(piece, RecordBatch):
                    yield from self._records(piece)
        except CorruptBatch as error:
            raise ValueError(str(error)) from error

    def _records(self, piece: RecordBatch) -> Iterator[Any]:
        time_ms, kind = self._batch.max_timestamp, self._batch.timestamp_type
        offsets = range(piece.base_offset, piece.next_offset) if piece.offsets is None else piece.offsets
        for offset, key, value in zip(offsets, piece.keys or (), piece.values, strict=True):
            yield DefaultRecord(len(value or b""), offset, time_ms, kind, key, value, [])


class CheckedRecords:
    """The batches of one fetch."""

    def __init__(self, records: Any, unpack_bytes: int) -> None:
        self._records = records
        self._unpack_bytes = unpack_bytes

    def next_batch(self) -> CheckedBatch | None:
        """The next one, if there is."""
        batch = self._records.next_batch()
        return None if batch is None else CheckedBatch(batch, self._unpack_bytes)


def check_batches(consumer: Any, unpack_bytes: int) -> None:
    """Have one consumer of kafka-python read this way; it has no setting for it."""

    class Records(Fetcher.PartitionRecords):  # type: ignore[misc] # kafka-python has no types here
        def _unpack_records(self, tp: Any, records: Any, *deserializers: Any) -> Any:
            return super()._unpack_records(tp, CheckedRecords(records, unpack_bytes), *deserializers)

    consumer._fetcher.PartitionRecords = Records  # noqa: SLF001 - as above


def _whole(batch: Any) -> PackedBatches | CompressedBatch:
    data = bytes(batch._buffer)  # noqa: SLF001 - its only name
    base, end, codec = batch.base_offset, batch.next_offset, batch.compression_type
    if codec:
        number = HEADER.unpack_from(data)[-1]
        return CompressedBatch(base, end, batch.max_timestamp, codec, number, data)
    return PackedBatches(base, end, data, 0, len(data))
