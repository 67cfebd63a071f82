"""Record batches of Kafka's format v2 as the broker sent them: checked and uncompressed, not taken apart.

For the compiled fold, which reads the records itself. Control batches and message formats 0 and 1 are left
to aiokafka.
"""

import struct
from typing import Any

from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from crc32c import crc32c

from streams.core.values import PackedBatch

# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and maximum time,
# producer's id and epoch, base sequence, number of records
HEADER = struct.Struct(">qiibIhiqqqhii")
# base offset and length stand before what the length counts; the CRC is of all from the attributes on
BEFORE_LENGTH, MAGIC_AT, ATTRIBUTES_AT = 12, 16, 21
COMPRESSION, TRANSACTIONAL, CONTROL = 0x07, 0x10, 0x20
DECODERS = {1: codec.gzip_decode, 2: codec.snappy_decode, 3: codec.lz4_decode, 4: codec.zstd_decode}


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

    magic = 2
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

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self._attributes & TRANSACTIONAL)

    def validate_crc(self) -> bool:
        """Whether the batch is as its producer and broker wrote it."""
        return bool(crc32c(memoryview(self._data)[ATTRIBUTES_AT:]) == self._crc)

    def packed(self) -> PackedBatch:
        """The batch with its records uncompressed; raises CorruptRecordException."""
        records, compression = self._data[HEADER.size :], self._attributes & COMPRESSION
        if compression:
            try:
                records = DECODERS[compression](records)
            except Exception as error:  # five libraries, each with errors of its own
                message = (
                    f"offsets {self.base_offset} to {self.next_offset - 1} can't be uncompressed: {error!r}"
                )
                raise CorruptRecordException(message) from error
        return PackedBatch(self.base_offset, self.next_offset, self.max_timestamp, self._count, records)

    def listed(self) -> Any:
        """The same batch as aiokafka's."""
        return MemoryRecords(self._data).next_batch()


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

    def next_batch(self) -> Any:
        """The next batch: a `WholeBatch`, or aiokafka's; raises CorruptRecordException."""
        data = self._data[self._at : self._end]
        self._at = self._end
        self._end = self._next_end()
        if len(data) <= MAGIC_AT or data[MAGIC_AT] < WholeBatch.magic or _is_control(data):
            return MemoryRecords(data).next_batch()
        return WholeBatch(data)

    def _next_end(self) -> int:
        """Where the batch ends that starts here; 0 when it is not whole."""
        if self._at + BEFORE_LENGTH > len(self._data):
            return 0
        end = self._at + BEFORE_LENGTH + int.from_bytes(self._data[self._at + 8 : self._at + BEFORE_LENGTH])
        return end if end <= len(self._data) else 0


def _is_control(data: bytes) -> bool:
    return len(data) > ATTRIBUTES_AT + 1 and bool(data[ATTRIBUTES_AT + 1] & CONTROL)
