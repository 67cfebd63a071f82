"""How records stand in a batch of Kafka's format v2, and what becomes of those that stand there wrongly.

Two rules, which the compiled fold keeps too (native/c/batches.h). Numbers are read as Kafka reads them. And
the offsets within a batch ascend, each with room for those behind it: of all that a producer can append,
record k has offset k. From the first record that breaks this, or can't be read, to the end of its batch all
is one `Unread`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from streams.core.limits import Limits
from streams.core.records import BEFORE_LENGTH, HEADER, MAGIC
from streams.core.values import OFFSET_BITS, PackedBatches, RecordBatch, Unread

# of a batch that are handed on at once: decoded messages are ten times as large as their bytes
PIECE_MESSAGES, PIECE_BYTES = 2048, 1 << 20


class CorruptBatch(Exception):
    """A header that no broker writes: the log itself is broken, or was cut wrongly."""

    def __init__(self, batches: PackedBatches, at: int) -> None:
        first, last, size = batches.base_offset, batches.next_offset - 1, batches.end - batches.start
        super().__init__(
            f"offsets {first} to {last}: no record batch at byte {at - batches.start} of {size}, although "
            "the checksum is right: Kafka's log is broken there"
        )


@dataclass(frozen=True, slots=True)
class Header:
    """What a batch's header says, and where its records stand: the bytes from `at` to before `end`."""

    base: int
    last: int
    append_ms: int
    number: int
    at: int
    end: int

    @property
    def room(self) -> int:
        """How many offsets have no record; 0 of a batch as it was appended."""
        return self.last + 1 - self.number


def read_header(batches: PackedBatches, at: int) -> Header:
    """The header of the batch that begins at byte `at`; raises CorruptBatch."""
    data, left = batches.data, batches.end - at
    if left < HEADER.size:
        raise CorruptBatch(batches, at)
    base, length, _, magic, _, _, last, _, append_ms, _, _, _, number = HEADER.unpack_from(data, at)
    size = BEFORE_LENGTH + length
    if not HEADER.size <= size <= left or magic != MAGIC or not is_plausible(base, last, number):
        raise CorruptBatch(batches, at)
    return Header(base, last, append_ms, number, at + HEADER.size, at + size)


def is_plausible(base: int, last: int, number: int) -> bool:
    """Whether a broker can have given these: the base offset, the last one's delta, the number of records."""
    return 0 <= base < 1 << OFFSET_BITS and last >= 0 and 0 <= number <= last + 1


def unpack(batches: PackedBatches, limits: Limits) -> Iterator[RecordBatch | Unread]:
    """The messages of each batch, of a large one in pieces, and what can't be read; raises CorruptBatch."""
    at, before = batches.start, 0
    while at < batches.end:
        header = read_header(batches, at)
        if header.base < before or header.base + header.last >= batches.next_offset:
            raise CorruptBatch(batches, at)
        before, at = header.base + header.last + 1, header.end
        yield from _records(batches, header, limits)


def _records(batches: PackedBatches, header: Header, limits: Limits) -> Iterator[RecordBatch | Unread]:
    data, at, end, base, room = batches.data, header.at, header.end, header.base, header.room
    last_index, before, first, start = header.number - 1, -1, -1, at
    offsets, keys, values = list[int](), list[bytes | None](), list[bytes | None]()
    for index in range(header.number):
        record_at = at
        try:
            delta, key, value, at = _read_record(data, at, end)
        except IndexError:
            delta = -1
        if not before < delta <= room + index or (index == last_index and at != end):
            if values:
                yield _piece(header, first, before, offsets, keys, values)
            yield from unread(batches, header, index, before, record_at, limits)
            return
        if len(values) >= PIECE_MESSAGES or (values and at - start > PIECE_BYTES):
            yield _piece(header, first, before, offsets, keys, values)
            offsets, keys, values, first, start = [], [], [], before, record_at
        before = delta
        offsets.append(base + delta)
        keys.append(key)
        values.append(value)
    if not header.number and at != end:
        yield from unread(batches, header, 0, -1, at, limits)
        return
    yield _piece(header, first, header.last, offsets, keys, values)


def _piece(
    header: Header,
    before: int,
    last: int,
    offsets: list[int],
    keys: list[bytes | None],
    values: list[bytes | None],
) -> RecordBatch:
    """The messages behind delta `before`, up to delta `last`."""
    base, end = header.base + before + 1, header.base + last + 1
    gaps = offsets if header.room else None
    return RecordBatch(base, end, header.append_ms, values, gaps, keys)


def unread(
    batches: PackedBatches, header: Header, index: int, before: int, at: int, limits: Limits
) -> list[Unread]:
    """What stands for the rest of a batch from record number `index` at byte `at` on.

    `before` is the offset delta of the record before it, -1 of none. Of a batch that was cut each message
    beyond is one of its own, unless they are too many.
    """
    first, end = header.base + before + 1, header.base + header.last + 1
    raw = batches.data[at : min(header.end, at + limits.letter_bytes)]
    if not (batches.cut_bytes and _is_cut(batches.data, at, header.end)):
        where = f"offsets {first} to {end - 1} can't be read"
        byte = f"no record at byte {at - header.at} of {header.end - header.at}"
        reason = f"{where}: {byte}, although the checksum is right: the producer's client writes broken batches"
        return [Unread(first, end, header.append_ms, reason, raw)]
    reason = (
        f"the batch of offsets {header.base} to {end - 1} unpacks to more than {batches.cut_bytes >> 20} MB "
        "(SONGLO_UNPACK_MB): the producer must send smaller ones"
    )
    if header.room or end - first > limits.bundle_events:
        return [Unread(first, end, header.append_ms, reason, raw)]
    raws = [raw, *[b""] * (end - first - 1)]
    return [
        Unread(first + i, first + i + 1, header.append_ms, reason, kept) for i, kept in enumerate(raws)
    ]


def _is_cut(data: bytes, at: int, end: int) -> bool:
    """Whether a record that begins at byte `at` would go on behind the end."""
    try:
        length, size = _varint(data[at : min(end, at + 5)], 0)
    except IndexError:
        return end - at < 5
    return length > end - at - size


def _read_record(data: bytes, at: int, limit: int) -> tuple[int, bytes | None, bytes | None, int]:
    """(offset delta, key, value, where the next record starts); raises IndexError."""
    length, at = _varint(data, at)
    end = at + length
    if length < 1 or end > limit:
        raise IndexError
    # behind the attributes the time, which is not wanted: the broker has set one for the whole batch
    at = _after_varlong(data, at + 1)
    delta, at = _varint(data, at)
    size, at = _varint(data, at)
    key = None
    if size >= 0:
        key = data[at : at + size]
        at += size
    size, at = _varint(data, at)
    # whatever was read behind the end before is noticed here; headers may follow the value
    if at + max(0, size) > end:
        raise IndexError
    return delta, key, None if size < 0 else data[at : at + size], end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Zigzag, as Kafka's ByteUtils: at most five bytes, of which 32 bits count."""
    number = data[at]
    if number < 0x80:
        return number >> 1 ^ -(number & 1), at + 1
    number &= 0x7F
    for shift in (7, 14, 21, 28):
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            number &= 0xFFFFFFFF
            return number >> 1 ^ -(number & 1), at + 1
    raise IndexError


def _after_varlong(data: bytes, at: int) -> int:
    """Where a number of at most ten bytes ends."""
    for end in range(at, at + 10):
        if data[end] < 0x80:
            return end + 1
    raise IndexError
