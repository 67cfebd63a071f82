"""Any bytes as a piece of a log: stream and rules, batches, and where they are cut, flushed, restarted.

Five bytes choose the stream, how the rest is framed, the rules of time, where the log begins and the topic's
epoch. The rest is in pieces; between two stand CUT and two bytes: what happens after the piece before, and
what the piece behind is like. So a mutation of any byte is again a log, and a message stands in it as it is.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache, lru_cache
from zlib import crc32

from crc32c import crc32c

from streams.core.limits import Limits
from streams.core.partition import ENDLESS
from streams.core.records import BEFORE_LENGTH, HEADER, MAGIC, framed, varint
from streams.core.rules import Rules
from streams.core.values import OFFSET_BITS, PackedBatches
from streams.registry import load_streams
from streams.spec import StreamSpec
from tests.support.odd import PARKING

CUT = b"\xfa\xce"
CONTROLS = 5
# after a piece: the batch ends; all batches since are folded; flushed; restarted from what was flushed
END, FOLD, FLUSH, RESTART = 1, 2, 4, 8
# of the piece behind: its value is null, or it was cut when it was unpacked; offsets are left out before it;
# messages that were not read come first; it has a key
NULL, GAP, UNREAD, KEY = 16, 32, 64, 128
OTHER_DEDUPE, NARROW, NO_ROOM, TWICE = 0x10, 0x20, 0x40, 0x80
# as tests and examples have it, so that events are on time
NOW_MS = 1_746_064_800_123
STEPS_MS = (0, 1, 1000, 30_000, 61_000, 121_000, 3_600_000, -60_000)
BASES = (0, 1, 6, (1 << 31) - 3, (1 << 47) - 2, (1 << OFFSET_BITS) - 9)
DISORDERS_MS, SKEWS_MS, PANES_MS = (60_000, 0, 1000, 120_000), (300_000, 0), (60_000, 1000, 3_600_000)
EPOCHS = (0, 1, 65_535)
MOST_OFFSET = (1 << 62) - 1
MAGIC_AT, CRC_AT, LAST_AT = 16, 17, 23
# a batch that was unpacked up to a bound
CUT_BYTES = 1 << 20
# more, beside the last ones, would make a case slow, and show little that few don't
MOST_STEPS, MOST_FLUSHES = 3, 1
# numbers of records and last deltas: a byte counts up to these, then come the bounds of 32 bits
SPECIAL = {0x7E: (1 << 31) - 1, 0x7F: 1 << 30, -0x80: -(1 << 31)}


class Form(IntEnum):
    """What the pieces of a case are."""

    MESSAGES = 0
    """Values, framed as a client does."""
    RECORDS = 1
    """Numbers of records and of offsets, then the records, behind a right header."""
    BATCHES = 2
    """Whole batches, their length, offset and checksum put right."""
    VERBATIM = 3
    """What it says."""
    FETCHED = 4
    """As BATCHES, and folded as the delivery hands them on: compressed ones unpacked, old formats too."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is folded at once, and what is done then; `unread` messages come before it."""

    batches: PackedBatches
    flush: bool
    restart: bool
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """An input as both folds get it."""

    spec: StreamSpec
    rules: Rules
    form: Form
    base: int
    epoch: int
    room: int
    """How many bytes may wait before a fold stops within a batch."""
    twice: bool
    """Whether it is flushed twice at the end."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes between two cuts: what is done after them, and what they are like."""

    body: bytes
    after: int
    like: int
    choice: int
    is_last: bool = False


@lru_cache(maxsize=1)
def streams() -> tuple[StreamSpec, ...]:
    """The odd stream of the tests, then those of the registry: a fourth one is fuzzed as it is added."""
    return PARKING, *load_streams().values()


def case_of(data: bytes) -> Case:
    """The case that any bytes are."""
    first, framing, times, start, epoch = data[:CONTROLS].ljust(CONTROLS, b"\0")
    base, form = BASES[start % len(BASES)], Form((framing & 0x0F) % len(Form))
    spec, rules = _variant(first % len(streams()), framing & (OTHER_DEDUPE | NARROW), times)
    room = 0 if times & NO_ROOM else ENDLESS
    steps = tuple(_steps(_pieces(data[CONTROLS:]), form, base))
    return Case(spec, rules, form, base, EPOCHS[epoch % len(EPOCHS)], room, bool(epoch & TWICE), steps)


def bytes_of(stream: int, form: Form, pieces: Sequence[Piece], *, times: int = 0, start: int = 0) -> bytes:
    """The input whose case has these pieces: for seeds."""
    data = bytearray([stream, form, times, start, TWICE])
    for i, piece in enumerate(pieces):
        data += piece.body
        if i + 1 < len(pieces):
            data += CUT + bytes([piece.after & 0x0F | pieces[i + 1].like & 0xF0, pieces[i + 1].choice])
    return bytes(data)


@cache
def _variant(stream: int, flags: int, times: int) -> tuple[StreamSpec, Rules]:
    spec = streams()[stream]
    if flags & OTHER_DEDUPE:
        spec = replace(spec, dedupe=not spec.dedupe)
    limits = Limits(bundle_events=3, letter_bytes=40, source_letters=2) if flags & NARROW else Limits()
    return spec, Rules(
        pane_ms=PANES_MS[(times >> 4 & 3) % len(PANES_MS)],
        disorder_ms=DISORDERS_MS[times & 3],
        skew_ms=SKEWS_MS[times >> 2 & 1],
        limits=limits,
    )


def _pieces(body: bytes) -> Iterator[Piece]:
    first, *rest = body.split(CUT)
    like = choice = 0
    for part in rest:
        after, following = part[:2].ljust(2, b"\0")
        yield Piece(first, after, like, choice)
        first, like, choice = part[2:], after, following
    yield Piece(first, END | FOLD, like, choice, is_last=True)


def _steps(pieces: Iterator[Piece], form: Form, base: int) -> Iterator[Step]:
    position, append_ms, data, unread, taken = base, NOW_MS, bytearray(), 0, 1
    records, number, first, flushes = bytearray(), 0, position, 0
    for piece in pieces:
        append_ms += STEPS_MS[piece.choice & 7] if not number else 0
        if piece.like & UNREAD and not data and not number:
            unread = 1 + (piece.choice >> 3)
            position += unread
        if form is Form.MESSAGES:
            position += 3 if piece.like & GAP else 0
            first = first if number else position
            records += record(position - first, _key(piece), None if piece.like & NULL else piece.body)
            number, position = number + 1, position + 1
            if piece.after & (END | FOLD):
                data += framed(first, position, append_ms, number, bytes(records)).data
                records, number = bytearray(), 0
        elif form is Form.RECORDS:
            position += 3 if piece.like & GAP else 0
            batch, position = _of_records(piece.body, position, append_ms)
            data += batch
        else:
            data += piece.body if form is Form.VERBATIM else put_right(piece.body, position)
            position = _end_of(bytes(data), position)
        if piece.after & FOLD and (taken < MOST_STEPS or piece.is_last):
            taken += 1
            cut = CUT_BYTES if form is Form.RECORDS and piece.like & NULL else 0
            batches = PackedBatches(_begin_of(data, position), position, bytes(data), 0, len(data), cut)
            flush = bool(piece.after & (FLUSH | RESTART)) and flushes < MOST_FLUSHES
            flushes += flush
            yield Step(batches, flush, flush and bool(piece.after & RESTART), unread)
            data, unread = bytearray(), 0


def _key(piece: Piece) -> bytes | None:
    return b"key-%d" % (piece.choice >> 3) if piece.like & KEY else None


def record(delta: int, key: bytes | None, value: bytes | None) -> bytes:
    """One record, without headers."""
    body = b"\0\0" + varint(delta)
    for part in (key, value):
        body += b"\1" if part is None else varint(len(part)) + part
    return varint(len(body) + 1) + body + b"\0"


def _of_records(body: bytes, position: int, append_ms: int) -> tuple[bytes, int]:
    """The batch of records that follow their number and the last one's delta; the offset after it."""
    number, last = struct.unpack("bb", body[:2].ljust(2, b"\0"))
    following = position + max(-1, SPECIAL.get(last, last)) + 1
    batch = bytearray(framed(position, following, append_ms, SPECIAL.get(number, number), body[2:]).data)
    struct.pack_into(">i", batch, LAST_AT, SPECIAL.get(last, last))
    return bytes(batch), following


def put_right(body: bytes, position: int) -> bytes:
    """A batch with the length and checksum that it has, at this offset."""
    batch = bytearray(body.ljust(HEADER.size, b"\0"))
    struct.pack_into(">qi", batch, 0, position, len(batch) - BEFORE_LENGTH)
    if batch[MAGIC_AT] < MAGIC:
        struct.pack_into(">I", batch, BEFORE_LENGTH, crc32(batch[MAGIC_AT:]))
    else:
        struct.pack_into(">I", batch, CRC_AT, crc32c(bytes(batch[CRC_AT + 4 :])))
    return bytes(batch)


def _begin_of(data: bytearray, position: int) -> int:
    return int.from_bytes(data[:8], signed=True) if len(data) >= HEADER.size else position


def _end_of(data: bytes, position: int) -> int:
    """The offset after the last whole batch, as a client learns it from the header."""
    at, after = 0, position
    while at + HEADER.size <= len(data):
        base, length, _, _, _, _, last, *_ = HEADER.unpack_from(data, at)
        if length < HEADER.size - BEFORE_LENGTH or at + BEFORE_LENGTH + length > len(data):
            break
        after, at = base + last + 1, at + BEFORE_LENGTH + length
    return min(max(after, 0), MOST_OFFSET)
