"""Kafka's record format v2 in pure Python: its header, how to make batches, and what is wanted of one."""

import struct
from collections.abc import Sequence
from itertools import count, repeat

from streams.core.values import PackedBatches, RecordBatch

# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and maximum time,
# producer's id and epoch, base sequence, number of records
HEADER = struct.Struct(">qiibIhiqqqhii")
# base offset and length stand before what the length counts
BEFORE_LENGTH = 12
MAGIC = 2


def pack(batch: RecordBatch) -> PackedBatches:
    """The batch as it would stand in a log, without headers, and with no checksum."""
    records, keys = bytearray(), repeat(None) if batch.keys is None else batch.keys
    for offset, key, value in zip(_offsets(batch), keys, batch.values, strict=False):
        body = b"\0\0" + varint(offset - batch.base_offset) + _text(key) + _text(value) + b"\0"
        records += varint(len(body)) + body
    return framed(batch.base_offset, batch.next_offset, batch.append_ms, len(batch.values), records)


def framed(
    base: int,
    next_offset: int,
    append_ms: int,
    number: int,
    records: bytes | bytearray | memoryview,
    cut_bytes: int = 0,
) -> PackedBatches:
    """A batch of so many records that stand behind each other, uncompressed; for `cut_bytes` see there."""
    length, last = HEADER.size - BEFORE_LENGTH + len(records), next_offset - base - 1
    header = HEADER.pack(base, length, 0, MAGIC, 0, 0, last, append_ms, append_ms, -1, -1, -1, number)
    # joined, so that the records are copied once
    return PackedBatches(base, next_offset, b"".join((header, records)), 0, BEFORE_LENGTH + length, cut_bytes)


def _offsets(batch: RecordBatch) -> "count[int] | tuple[int, ...]":
    return count(batch.base_offset) if batch.offsets is None else tuple(batch.offsets)


def _text(text: bytes | None) -> bytes:
    return b"\1" if text is None else varint(len(text)) + text


def varint(number: int) -> bytes:
    """Zigzag, seven bits a byte, the lowest first."""
    left, encoded = number << 1 if number >= 0 else ~number << 1 | 1, bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


Texts = Sequence[bytes | None]


def between(batch: RecordBatch, start: int, end: int) -> tuple[Sequence[int], Texts, Texts]:
    """The offsets, keys and values of a batch from `start` to before `end`."""
    values, first = batch.values, batch.base_offset
    keys = [None] * len(values) if batch.keys is None else batch.keys
    if batch.offsets is None:
        low, high = max(0, start - first), max(0, end - first)
        return range(first, first + len(values))[low:high], keys[low:high], values[low:high]
    at = [i for i, offset in enumerate(batch.offsets) if start <= offset < end]
    return [batch.offsets[i] for i in at], [keys[i] for i in at], [values[i] for i in at]
