"""Message formats 0 and 1, which logs of long ago are in: each message has a checksum and a time of its own.

Compressed, they stand together as the value of one message, whose offset is the last one of theirs.
"""

import struct
from collections.abc import Iterator
from zlib import crc32

from streams.core.records import BEFORE_LENGTH, pack
from streams.core.values import PackedBatches, RecordBatch, Unread
from streams.worker.client.decompress import LZ4, Damaged, decompress

# offset, length, CRC, format, attributes; of format 1 a time follows; then key and value behind their sizes
HEADER, TIME, SIZE = struct.Struct(">qiIbb"), struct.Struct(">q"), struct.Struct(">i")
MAGIC_AT, FORMATS, CODEC, APPEND_TIME = 16, (0, 1), 0x07, 0x08
NO_TIME = -1
# of what can't be read
KEPT_BYTES = 1 << 20

# offset, attributes, time, key, value, where the next one begins
Parsed = tuple[int, int, int, bytes | None, memoryview | None, int]


class LegacyBatch:
    """One message, or those compressed together, with what the unpacking asks of aiokafka's batches."""

    __slots__ = ("_data", "base_offset", "magic", "next_offset")

    is_control_batch = is_transactional = False
    producer_id = None

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.magic = data[MAGIC_AT] if len(data) > MAGIC_AT else 0
        self.base_offset = int.from_bytes(data[:8], signed=True)
        self.next_offset = self.base_offset + 1

    def validate_crc(self) -> bool:
        """Whether the message is as its producer and broker wrote it."""
        return len(self._data) >= HEADER.size and crc32(memoryview(self._data)[MAGIC_AT:]) == (
            int.from_bytes(self._data[BEFORE_LENGTH:MAGIC_AT])
        )

    def messages(self, wanted: int, unpack_bytes: int) -> Iterator[PackedBatches | Unread]:
        """Those from the offset `wanted` on, each as a batch of format 2; the last stands for the unread."""
        try:
            for offset, append_ms, key, value in self._messages(unpack_bytes):
                if offset >= wanted:
                    yield pack(RecordBatch(offset, offset + 1, append_ms, (value,), None, (key,)))
        except (Damaged, struct.error) as error:
            reason = f"offsets up to {self.base_offset} of message format {self.magic} can't be read: {error}"
            yield Unread(self.base_offset, self.next_offset, 0, reason, self._data[:KEPT_BYTES])

    def _messages(self, unpack_bytes: int) -> Iterator[tuple[int, int, bytes | None, bytes | None]]:
        last, attributes, append_ms, key, value, _ = _message(memoryview(self._data), 0)
        if not attributes & CODEC:
            yield last, append_ms, key, None if value is None else bytes(value)
            return
        if value is None or (attributes & CODEC == LZ4 and not self.magic):
            raise Damaged(f"compression {attributes & CODEC} in this format")
        data, more = decompress(attributes & CODEC, value, unpack_bytes)
        if more:
            raise Damaged(f"they unpack to more than {unpack_bytes >> 20} MB (SONGLO_UNPACK_MB)")
        first = last - _last_offset(data) if self.magic else 0
        at, before = 0, -1
        while at < len(data):
            delta, _, own_ms, key, value, at = _message(data, at)
            if not before < (offset := first + delta) <= last:
                raise Damaged(f"offset {offset} stands behind {before}")
            before, time_ms = offset, append_ms if attributes & APPEND_TIME else own_ms
            yield offset, time_ms, key, None if value is None else bytes(value)


def _last_offset(data: memoryview) -> int:
    at = offset = 0
    while at < len(data):
        offset, *_, at = _message(data, at)
    return offset


def _message(data: memoryview, at: int) -> Parsed:
    """The message at byte `at`; raises Damaged or struct.error."""
    offset, length, _, magic, attributes = HEADER.unpack_from(data, at)
    end, at, time_ms = at + BEFORE_LENGTH + length, at + HEADER.size, NO_TIME
    if magic not in FORMATS or not at <= end <= len(data):
        raise Damaged(f"no message at byte {at - HEADER.size} of {len(data)}")
    if magic:
        (time_ms,) = TIME.unpack_from(data, at)
        at += TIME.size
    key, at = _text(data, at, end)
    value, at = _text(data, at, end)
    return offset, attributes, time_ms, None if key is None else bytes(key), value, end


def _text(data: memoryview, at: int, end: int) -> tuple[memoryview | None, int]:
    (size,) = SIZE.unpack_from(data, at)
    at += SIZE.size
    if size < 0:
        return None, at
    if size > end - at:
        raise Damaged(f"a key or value of {size} bytes, of which {max(0, end - at)} are there")
    return data[at : at + size], at + size
