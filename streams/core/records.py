"""Kafka's record format v2 in pure Python: how the plain engine reads `PackedBatches`, how to make them."""

import struct
from collections.abc import Iterator, Sequence
from itertools import count, repeat

from streams.core.values import PackedBatches, RecordBatch

# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and maximum time,
# producer's id and epoch, base sequence, number of records
HEADER = struct.Struct(">qiibIhiqqqhii")
# base offset and length stand before what the length counts
BEFORE_LENGTH = 12
MAGIC = 2
MOST_DELTA = 1 << 31


class CorruptBatch(Exception):
    """The records of a batch are not in Kafka's format, although its checksum was right."""

    def __init__(self, batches: PackedBatches, at: int) -> None:
        first, last, size = batches.base_offset, batches.next_offset - 1, batches.end - batches.start
        super().__init__(
            f"offsets {first} to {last}: no record at byte {at - batches.start} of {size}, although "
            "the checksum is right: the producer's client writes broken batches"
        )


def unpack(batches: PackedBatches) -> Iterator[RecordBatch]:
    """Each batch as a list of messages; raises CorruptBatch."""
    data, at, before = batches.data, batches.start, 0
    while at < batches.end:
        left = batches.end - at
        if left < HEADER.size or (size := BEFORE_LENGTH + int.from_bytes(data[at + 8 : at + 12])) > left:
            raise CorruptBatch(batches, at)
        base, _, _, _, _, _, last, _, append_ms, _, _, _, records = HEADER.unpack_from(data, at)
        if base < before:
            raise CorruptBatch(batches, at)
        before = base + last + 1
        end, at = at + size, at + HEADER.size
        keys, values, offsets = list[bytes | None](), list[bytes | None](), list[int]()
        for _ in range(records):
            start = at
            try:
                delta, key, value, at = _read_record(data, at, end)
            except IndexError:
                raise CorruptBatch(batches, start) from None
            offsets.append(base + delta)
            keys.append(key)
            values.append(value)
        if at != end:
            raise CorruptBatch(batches, at)
        yield RecordBatch(base, base + last + 1, append_ms, values, offsets, keys)


def pack(batch: RecordBatch) -> PackedBatches:
    """The batch as it would stand in a log, without headers, and with no checksum."""
    records, keys = bytearray(), repeat(None) if batch.keys is None else batch.keys
    for offset, key, value in zip(_offsets(batch), keys, batch.values, strict=False):
        body = b"\0\0" + _varint(offset - batch.base_offset) + _text(key) + _text(value) + b"\0"
        records += _varint(len(body)) + body
    return framed(batch.base_offset, batch.next_offset, batch.append_ms, len(batch.values), bytes(records))


def framed(base: int, next_offset: int, append_ms: int, number: int, records: bytes) -> PackedBatches:
    """A batch of so many records that stand behind each other, uncompressed."""
    length, last = HEADER.size - BEFORE_LENGTH + len(records), next_offset - base - 1
    header = HEADER.pack(base, length, 0, MAGIC, 0, 0, last, append_ms, append_ms, -1, -1, -1, number)
    return PackedBatches(base, next_offset, header + records, 0, BEFORE_LENGTH + length)


def _offsets(batch: RecordBatch) -> "count[int] | tuple[int, ...]":
    return count(batch.base_offset) if batch.offsets is None else tuple(batch.offsets)


def _text(text: bytes | None) -> bytes:
    return b"\1" if text is None else _varint(len(text)) + text


def _read_record(data: bytes, at: int, limit: int) -> tuple[int, bytes | None, bytes | None, int]:
    """(offset delta, key, value, where the next record starts); raises IndexError."""
    length, at = _read_varint(data, at)
    end = at + length
    if length < 1 or end > limit:
        raise IndexError
    _, at = _read_varint(data, at + 1)
    delta, at = _read_varint(data, at)
    if not -MOST_DELTA <= delta < MOST_DELTA:
        raise IndexError
    key_size, at = _read_varint(data, at)
    key = None if key_size < 0 else data[at : at + key_size]
    size, at = _read_varint(data, at + max(0, key_size))
    if at + max(0, size) > end:
        raise IndexError
    return delta, key, None if size < 0 else data[at : at + size], end


def _read_varint(records: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while records[at] & 0x80:
        number |= (records[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    number |= records[at] << shift
    return number >> 1 ^ -(number & 1), at + 1


def _varint(number: int) -> bytes:
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
