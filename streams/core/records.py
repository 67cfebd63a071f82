"""Kafka's record format v2 in pure Python: how the plain engine reads a `PackedBatch`, how to make one."""

from collections.abc import Sequence
from itertools import count

from streams.core.values import PackedBatch, RecordBatch


class CorruptBatch(Exception):
    """The records of a batch are not in Kafka's format, although its checksum was right."""

    def __init__(self, batch: PackedBatch, at: int) -> None:
        offsets, size = f"offsets {batch.base_offset} to {batch.next_offset - 1}", len(batch.records)
        super().__init__(
            f"{offsets}: no record at byte {at} of {size}, although the checksum is right: the producer's "
            "client writes broken batches"
        )


def unpack(batch: PackedBatch) -> RecordBatch:
    """The batch as a list of messages; raises CorruptBatch."""
    values, offsets, at = list[bytes | None](), list[int](), 0
    for _ in range(batch.count):
        start = at
        try:
            delta, value, at = _read_record(batch.records, at)
        except IndexError:
            raise CorruptBatch(batch, start) from None
        offsets.append(batch.base_offset + delta)
        values.append(value)
    if at != len(batch.records):
        raise CorruptBatch(batch, at)
    return RecordBatch(batch.base_offset, batch.next_offset, batch.append_ms, values, offsets)


def pack(batch: RecordBatch) -> PackedBatch:
    """The batch as records, without keys and headers."""
    records = bytearray()
    for offset, value in zip(_offsets(batch), batch.values, strict=False):
        body = b"\0\0" + _varint(offset - batch.base_offset) + b"\1"
        body += (b"\1" if value is None else _varint(len(value)) + value) + b"\0"
        records += _varint(len(body)) + body
    return PackedBatch(
        batch.base_offset, batch.next_offset, batch.append_ms, len(batch.values), bytes(records)
    )


def _offsets(batch: RecordBatch) -> "count[int] | tuple[int, ...]":
    return count(batch.base_offset) if batch.offsets is None else tuple(batch.offsets)


def _read_record(records: bytes, at: int) -> tuple[int, bytes | None, int]:
    """(offset delta, value, where the next record starts); raises IndexError."""
    length, at = _read_varint(records, at)
    end = at + length
    if length < 1 or end > len(records):
        raise IndexError
    _, at = _read_varint(records, at + 1)
    delta, at = _read_varint(records, at)
    key_size, at = _read_varint(records, at)
    size, at = _read_varint(records, at + max(0, key_size))
    if at + max(0, size) > end:
        raise IndexError
    return delta, None if size < 0 else records[at : at + size], end


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


def between(batch: RecordBatch, start: int, end: int) -> tuple[Sequence[int], Sequence[bytes | None]]:
    """The offsets and values of a batch from `start` to before `end`."""
    values, first = batch.values, batch.base_offset
    if batch.offsets is None:
        low, high = max(0, start - first), max(0, end - first)
        return range(first, first + len(values))[low:high], values[low:high]
    kept = [(o, value) for o, value in zip(batch.offsets, values, strict=True) if start <= o < end]
    return [o for o, _ in kept], [value for _, value in kept]
