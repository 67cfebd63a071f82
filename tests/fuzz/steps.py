"""Pieces of an input as the steps of a case: batches, what is folded at once, and what is done then."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from streams.core.records import BEFORE_LENGTH, HEADER, framed
from streams.core.values import PackedBatches
from tests.fuzz.frames import COPIES, copies_of, of_records, put_right, record

# after a piece: the batch ends; all batches since are folded; flushed; restarted from what was flushed
END, FOLD, FLUSH, RESTART = 1, 2, 4, 8
# of the piece behind: its value is null, or it was cut when it was unpacked; offsets are left out before it;
# messages that were not read come first; it has a key
NULL, GAP, UNREAD, KEY = 16, 32, 64, 128
# as tests and examples have it, so that events are on time
NOW_MS = 1_746_064_800_123
STEPS_MS = (0, 1, 1000, 30_000, 61_000, 121_000, 3_600_000, -60_000)
GAP_OFFSETS, MOST_OFFSET = 3, (1 << 62) - 1
# a batch that was unpacked up to a bound
CUT_BYTES = 1 << 20
# more, beside the last ones, would make a case slow, and show little that few don't
MOST_STEPS, MOST_FLUSHES, MOST_BYTES = 3, 1, 1 << 20


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
    MANY = 5
    """As MESSAGES, each of them many times, with numbers that differ; as a bundle where it would be null."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes between two cuts: what is done after them, and what they are like."""

    body: bytes
    after: int
    like: int
    choice: int
    is_last: bool = False

    @property
    def key(self) -> bytes | None:
        """The key of its message."""
        return b"key-%d" % (self.choice >> 3) if self.like & KEY else None

    def values(self, form: Form, room: int) -> list[bytes | None]:
        """The values of its messages; none where many would be more than `room` bytes."""
        if form is Form.MESSAGES:
            return [None if self.like & NULL else self.body]
        number = COPIES[self.choice >> 4]
        if not self.body or number * len(self.body) > room:
            return []
        values = copies_of(self.body, number)
        return [b"[" + b",".join(values) + b"]"] if self.like & NULL else [*values]


@dataclass(frozen=True, slots=True)
class Step:
    """What is folded at once, and what is done then; `unread` messages come before it."""

    batches: PackedBatches
    flush: bool
    restart: bool
    unread: int = 0


class Steps:
    """The steps of pieces that follow each other in a log from the offset `base` on."""

    def __init__(self, form: Form, base: int) -> None:
        self._form, self._position, self._append_ms = form, base, NOW_MS
        self._data, self._unread = bytearray(), 0
        self._records, self._number, self._first = bytearray(), 0, base
        self._taken, self._flushes = 1, 0

    def of(self, pieces: Iterable[Piece]) -> Iterator[Step]:
        """Each step when its last piece has come."""
        for piece in pieces:
            self._begin(piece)
            if self._form in (Form.MESSAGES, Form.MANY):
                self._add_messages(piece)
            else:
                self._add_batch(piece)
            if piece.after & FOLD and (self._taken < MOST_STEPS or piece.is_last):
                yield self._step(piece)

    def _begin(self, piece: Piece) -> None:
        if self._number:
            return
        self._append_ms += STEPS_MS[piece.choice & 7]
        if piece.like & UNREAD and not self._data:
            self._unread = 1 + (piece.choice >> 3)
            self._position += self._unread

    def _add_messages(self, piece: Piece) -> None:
        values = piece.values(self._form, MOST_BYTES - len(self._data) - len(self._records))
        self._position += GAP_OFFSETS if values and piece.like & GAP else 0
        self._first = self._first if self._number else self._position
        for value in values:
            self._records += record(self._position - self._first, piece.key, value)
            self._number, self._position = self._number + 1, self._position + 1
        if self._number and piece.after & (END | FOLD):
            records = bytes(self._records)
            self._data += framed(self._first, self._position, self._append_ms, self._number, records).data
            self._records, self._number = bytearray(), 0

    def _add_batch(self, piece: Piece) -> None:
        if self._form is Form.RECORDS:
            self._position += GAP_OFFSETS if piece.like & GAP else 0
            batch, self._position = of_records(piece.body, self._position, self._append_ms)
            self._data += batch
            return
        verbatim = self._form is Form.VERBATIM
        self._data += piece.body if verbatim else put_right(piece.body, self._position)
        self._position = _end_of(bytes(self._data), self._position)

    def _step(self, piece: Piece) -> Step:
        data, self._data = bytes(self._data), bytearray()
        cut = CUT_BYTES if self._form is Form.RECORDS and piece.like & NULL else 0
        base = int.from_bytes(data[:8], signed=True) if len(data) >= HEADER.size else self._position
        flush = bool(piece.after & (FLUSH | RESTART)) and self._flushes < MOST_FLUSHES
        self._taken, self._flushes = self._taken + 1, self._flushes + flush
        unread, self._unread = self._unread, 0
        batches = PackedBatches(base, self._position, data, 0, len(data), cut)
        return Step(batches, flush, flush and bool(piece.after & RESTART), unread)


def _end_of(data: bytes, position: int) -> int:
    """The offset after the last whole batch, as a client learns it from the header."""
    at, after = 0, position
    while at + HEADER.size <= len(data):
        base, length, _, _, _, _, last, *_ = HEADER.unpack_from(data, at)
        if length < HEADER.size - BEFORE_LENGTH or at + BEFORE_LENGTH + length > len(data):
            break
        after, at = base + last + 1, at + BEFORE_LENGTH + length
    return min(max(after, 0), MOST_OFFSET)
