"""Record batches of Kafka's format v2 as the broker sent them: checked, neither uncompressed nor taken apart.

The fold reads the records itself. Control batches are left to aiokafka.
"""

from collections.abc import Callable
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from crc32c import crc32c

from streams.core.framing import is_plausible
from streams.core.records import BEFORE_LENGTH, HEADER, MAGIC
from streams.core.values import CompressedBatch, PackedBatches
from streams.worker.client.legacy import LegacyBatch

# the CRC is of all from the attributes on
MAGIC_AT, ATTRIBUTES_AT = 16, 21
COMPRESSION, TRANSACTIONAL, CONTROL = 0x07, 0x10, 0x20
# of batches that are folded in one go: about two thousand events, half a millisecond
RUN_BYTES = 512 * 1024

# (data, from byte, most bytes, attributes that no batch may have) -> (end, next offset)
Run = Callable[[bytes, int, int, int], tuple[int, int]]


class WholeBatch:
    """One batch of format v2, with the attributes of aiokafka's batches that the unpacking asks for."""

    __slots__ = (
        "_attributes",
        "_count",
        "_crc",
        "_data",
        "base_offset",
        "max_timestamp",
        "next_offset",
        "producer_id",
    )

    magic = MAGIC
    is_control_batch = False

    def __init__(self, data: bytes) -> None:
        if len(data) < HEADER.size:
            raise CorruptRecordException(f"a record batch of {len(data)} bytes is smaller than its header")
        self._data = data
        (
            self.base_offset, _, _, _, self._crc, self._attributes, last, _, self.max_timestamp,
            self.producer_id, _, _, self._count,
        ) = HEADER.unpack_from(data)  # fmt: skip
        self.next_offset = self.base_offset + last + 1
        # no checksum covers the offset and the format's number
        if data[MAGIC_AT] != MAGIC or not is_plausible(self.base_offset, last, self._count):
            raise CorruptRecordException(f"no record batch of format {MAGIC} is at offset {self.base_offset}")

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self._attributes & TRANSACTIONAL)

    def validate_crc(self) -> bool:
        """Whether the batch is as its producer and broker wrote it."""
        return bool(crc32c(memoryview(self._data)[ATTRIBUTES_AT:]) == self._crc)

    def batch(self) -> PackedBatches | CompressedBatch:
        """The batch as it stands."""
        base, end, data = self.base_offset, self.next_offset, self._data
        if codec := self._attributes & COMPRESSION:
            return CompressedBatch(base, end, self.max_timestamp, codec, self._count, data)
        return PackedBatches(base, end, data, 0, len(data))


class WholeRecords:
    """The batches of one fetch, in place of aiokafka's `MemoryRecords`; one cut off at the end is left."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = self._next_end()

    def size_in_bytes(self) -> int:
        """Of the whole fetch."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return self._end > 0

    def next_run(self, run: Run, stops: int) -> PackedBatches | None:
        """The next batches as they stand, without the attributes `stops`; None where `run` finds none."""
        data, start = self._data, self._at
        end, next_offset = run(data, start, RUN_BYTES, stops)
        if end == start:
            return None
        self._go_on_from(end)
        return PackedBatches(int.from_bytes(data[start : start + 8]), next_offset, data, start, end)

    def next_batch(self) -> Any:
        """The next batch, one of control as aiokafka's; raises CorruptRecordException."""
        data = self._data[self._at : self._end]
        self._go_on_from(self._end)
        if len(data) <= MAGIC_AT or data[MAGIC_AT] < MAGIC:
            return LegacyBatch(data)
        batch = WholeBatch(data)
        follows = self._data[self._at : self._at + 8]
        if len(follows) == 8 and int.from_bytes(follows, signed=True) < batch.next_offset:
            first, last = batch.base_offset, batch.next_offset - 1
            raise CorruptRecordException(f"offsets {first} to {last} stand before a smaller one")
        return MemoryRecords(data).next_batch() if _is_control(data) else batch

    def _go_on_from(self, at: int) -> None:
        self._at = at
        self._end = self._next_end()

    def _next_end(self) -> int:
        """Where the batch ends that starts here; 0 when it is not whole."""
        if self._at + BEFORE_LENGTH > len(self._data):
            return 0
        end = self._at + BEFORE_LENGTH + int.from_bytes(self._data[self._at + 8 : self._at + BEFORE_LENGTH])
        return end if end <= len(self._data) else 0


def _is_control(data: bytes) -> bool:
    return len(data) > ATTRIBUTES_AT + 1 and bool(data[ATTRIBUTES_AT + 1] & CONTROL)
