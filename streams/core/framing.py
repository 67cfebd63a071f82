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

# of a batch that is handed on at once: decoded messages are ten times as large as their bytes
PIECE_BYTES = 1 << 17


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
    data, at, end, room = batches.data, header.at, header.end, header.room
    last_index, before, first, start = header.number - 1, -1, -1, at
    deltas, keys, values = list[int](), list[bytes | None](), list[bytes | None]()
    for index in range(header.number):
        record_at = at
        try:
            delta, key, value, at = _read_record(data, at, end)
        except IndexError:
            delta = -1
        if not before < delta <= room + index or (index == last_index and at != end):
            if values:
                yield _piece(header, first, before, deltas, keys, values)
            yield from unread(batches, header, before, record_at, limits)
            return
        if at - start > PIECE_BYTES and values:
            yield _piece(header, first, before, deltas, keys, values)
            deltas, keys, values, first, start = [], [], [], before, record_at
        before = delta
        deltas.append(delta)
        keys.append(key)
        values.append(value)
    if not header.number and at != end:
        yield from unread(batches, header, -1, at, limits)
        return
    yield _piece(header, first, header.last, deltas, keys, values)


def _piece(
    header: Header,
    before: int,
    last: int,
    deltas: list[int],
    keys: list[bytes | None],
    values: list[bytes | None],
) -> RecordBatch:
    """The messages behind delta `before`, up to delta `last`."""
    base, end = header.base + before + 1, header.base + last + 1
    gaps = [header.base + delta for delta in deltas] if header.room else None
    return RecordBatch(base, end, header.append_ms, values, gaps, keys)


def unread(batches: PackedBatches, header: Header, before: int, at: int, limits: Limits) -> list[Unread]:
    """What stands for the rest of a batch from the record at byte `at` on.

    `before` is the offset delta of the record before it, -1 of none. Of a batch that was cut each message
    beyond is one of its own, unless they are too many.
    """
    first, end = header.base + before + 1, header.base + header.last + 1
    raw = batches.data[at : min(header.end, at + limits.letter_bytes)]
    if not (batches.cut_bytes and _is_cut(batches.data, at, header.end)):
        where = f"offsets {first} to {end - 1} can't be read"
        byte = f"no record at byte {at - header.at} of {header.end - header.at}"
        reason = (
            f"{where}: {byte}, although the checksum is right: the producer's client writes broken batches"
        )
        return [Unread(first, end, header.append_ms, reason, raw)]
    reason = (
        f"the batch of offsets {header.base} to {end - 1} unpacks to more than {batches.cut_bytes >> 20} MB "
        "(SONGLO_UNPACK_MB): the producer must send smaller ones"
    )
    if header.room or end - first > limits.bundle_events:
        return [Unread(first, end, header.append_ms, reason, raw)]
    raws = [raw, *[b""] * (end - first - 1)]
    return [Unread(first + i, first + i + 1, header.append_ms, reason, kept) for i, kept in enumerate(raws)]


def _is_cut(data: bytes, at: int, end: int) -> bool:
    """Whether a record that begins at byte `at` would go on behind the end."""
    start = data[at : min(end, at + 5)]
    try:
        length, size = _longer(start, start[0], 1) if start[0] > 0x7F else (start[0], 1)
    except IndexError:
        return len(start) < 5
    return not length & 1 and length >> 1 > end - at - size


def _read_record(data: bytes, at: int, limit: int) -> tuple[int, bytes | None, bytes | None, int]:
    """(offset delta, key, value, where the next record starts); raises IndexError.

    Numbers of a byte are read in place, since each call costs as much as all the rest.
    """
    length, at = data[at], at + 1
    if length > 0x7F:
        length, at = _longer(data, length, at)
    end = at + (length >> 1)
    if length & 1 or not length or end > limit:
        raise IndexError
    # behind the attributes the time, which is not wanted: the broker has set one for the whole batch
    at += 2
    if data[at - 1] > 0x7F:
        at = _after_varlong(data, at)
    delta, at = data[at], at + 1
    if delta > 0x7F:
        delta, at = _longer(data, delta, at)
    size, at = data[at], at + 1
    if size > 0x7F:
        size, at = _longer(data, size, at)
    key = None
    if not size & 1:
        key_at, at = at, at + (size >> 1)
        key = data[key_at:at]
    size, at = data[at], at + 1
    if size > 0x7F:
        size, at = _longer(data, size, at)
    value_end = at if size & 1 else at + (size >> 1)
    # whatever was read behind the end before is noticed here; headers may follow the value
    if value_end > end:
        raise IndexError
    return delta >> 1 ^ -(delta & 1), key, None if size & 1 else data[at:value_end], end


def _longer(data: bytes, low: int, at: int) -> tuple[int, int]:
    """A number whose first byte is `low`, as Kafka's ByteUtils: of at most five bytes 32 bits count."""
    byte = data[at]
    if byte < 0x80:
        return low & 0x7F | byte << 7, at + 1
    number = low & 0x7F | (byte & 0x7F) << 7
    for shift in (14, 21, 28):
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFFFFFF, at + 1
    raise IndexError


def _after_varlong(data: bytes, at: int) -> int:
    """Where a number of at most ten bytes ends, of which one was read."""
    for end in range(at, at + 9):
        if data[end] < 0x80:
            return end + 1
    raise IndexError
