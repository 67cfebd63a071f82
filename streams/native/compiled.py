"""The compiled fold of one partition: what `PlainFold` is in Python, at a fraction of the cost.

fold.c folds the events that it is sure of. Every other message comes here, in its place among them: the
codec decodes it, the ledger keeps what is refused, and valid events go back into the same state.
"""

import struct
import weakref
from array import array
from ctypes import POINTER, byref, c_int64, c_void_p, cast, string_at
from typing import Any

from schemas.codec import Bundle, Codec, Refusal
from schemas.event import Event
from schemas.fields import Kind, field_rules
from streams.core.fold import ENDLESS, Batches
from streams.core.framing import CorruptBatch, read_header, unread
from streams.core.ledger import Ledger
from streams.core.message import Message, in_order
from streams.core.pane import id_hash
from streams.core.refusals import Refusals
from streams.core.rows import Rows
from streams.core.rules import Rules
from streams.core.strays import own_bytes
from streams.core.values import Changes, ClosedPane, PackedBatches, Progress, Unread
from streams.native.checks import used_fields
from streams.native.late import LATE_BYTES, take_late
from streams.native.library import CORRUPT, ENOUGH, HANDED_OVER, STRAY, TOO_EARLY, UNREAD, Library, Shared
from streams.native.rows import take_rows
from streams.native.strays import take_strays
from streams.native.tables import stream_table
from streams.spec import StreamSpec

# where fold.c notes that a row waits
WAITING_BYTES = 16
# what a row weighs once it is captured: 50 to 100 packed
ROW_BYTES = 100 + WAITING_BYTES
# the largest number that fold.c holds
MOST = 2**63 - 1


class CompiledFold:
    """A `streams.core.fold.Fold` whose panes fold.c holds; raises Unsupported for streams it can't fold."""

    def __init__(self, spec: StreamSpec, rules: Rules, progress: Progress, library: Library) -> None:
        self._spec, self._rules, self._library = spec, rules, library
        self._codec: Codec[Event] = Codec(spec.event, rules.limits.bundle_events)
        self._state = library.new(byref(stream_table(spec, rules)))
        weakref.finalize(self, library.free, self._state)
        self._shared: Any = cast(self._state, POINTER(Shared)).contents
        self._shared.watermark_ms = progress.watermark_ms
        self._shared.row_bytes, self._shared.late_bytes = ROW_BYTES, LATE_BYTES
        # of a stream without repeats each event may count where it is
        self._shared.homes = progress.homes if spec.dedupe else 0
        self._shared.partition, self._shared.forward = progress.partition, progress.forward
        # fold.c counts under the names that a ledger asks for
        self._ledger = Ledger(spec, rules, progress, self._shared)
        fields, used = field_rules(spec.event), used_fields(spec)
        self._used = [(i, rule.name, rule.kind) for i, rule in enumerate(fields) if rule.name in used]
        self._numbers = struct.Struct(f"={len(fields)}q")
        # once more than this is held, the fold stops behind the message that it is at
        self._enough = ENDLESS
        self.handed_over = 0
        self._close_panes()

    @property
    def position(self) -> int:
        """The next offset that it expects."""
        return int(self._shared.position)

    @property
    def replaying(self) -> bool:
        """Whether the panes that were open at the stored position are still being rebuilt."""
        return self._ledger.replaying

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        # where no pane is open, a replay begins where the fold goes on
        return self._ledger.progress(int(self._library.first_offset(self._state, self.position)))

    @property
    def folded(self) -> int:
        """Events that were counted on time."""
        return int(self._shared.folded)

    @property
    def events(self) -> int:
        """Events read since the partition's beginning, whatever became of them."""
        return self._ledger.events

    @property
    def refusals(self) -> Refusals:
        """What it has refused."""
        return self._ledger.refusals

    @property
    def pending(self) -> int:
        """About how many bytes wait to be flushed; 0 while nothing can be."""
        if self.replaying:
            return 0
        shared = self._shared
        return int(shared.waiting * ROW_BYTES + shared.kept + shared.spread) + self._ledger.bytes

    @property
    def memory(self) -> int:
        """All the bytes that fold.c holds: for itself, for open panes, and for what waits."""
        return int(self._shared.bytes)

    @property
    def open_bytes(self) -> int:
        """How many bytes the open panes hold, their rows that wait to be flushed among them."""
        return int(self._shared.bytes - self._shared.kept - self._shared.waiting * WAITING_BYTES)

    @property
    def open_panes(self) -> int:
        """How many panes are open."""
        return int(self._shared.panes)

    def fold(self, batches: Batches, room: int = ENDLESS) -> None:
        """Fold the messages of these batches that have not been folded yet, in the order of the log.

        What open panes come to hold needs room too.
        """
        if isinstance(batches, Unread):
            self._pass_over(batches)
            return
        if self.replaying:
            # nothing can be captured before the end of it
            self._enough = ENDLESS
            self._fold_until(self._ledger.stored.next_offset, batches)
            if self._ledger.end_replay():
                self._close_panes()
        self._enough = self._held() + self._ledger.bytes + room
        self._fold_until(batches.next_offset, batches)

    def capture(self) -> Changes | None:
        """Take all that waits, together with the position it belongs to; None when nothing changed."""
        progress, shared = self.progress, self._shared
        if self.replaying or not (self._ledger.is_news(progress) or shared.waiting):
            return None
        epoch = self._ledger.stored.epoch
        rows: Rows = take_rows(self._library, self._state, self._spec, shared.waiting, epoch)
        late = take_late(self._library, self._state, self._spec, shared.late_waiting, epoch)
        closed = [self._closed_pane(i) for i in range(shared.closed)]
        strays = take_strays(self._library, self._state, shared)
        self._library.flushed(self._state)
        return self._ledger.take(progress, rows, closed, late, strays)

    def close_all(self) -> None:
        """Close every open pane, as if the watermark had passed it."""
        self._ledger.close_all()
        self._library.close_until(self._state, self._ledger.watermark_ms)

    def _fold_until(self, end: int, batches: PackedBatches) -> None:
        shared, end = self._shared, min(end, batches.next_offset)
        if end <= shared.position:
            return
        shared.end, shared.limit, shared.replaying = end, batches.next_offset, self.replaying
        shared.batch, shared.at, shared.index = batches.start, 0, 0
        fold, state, data, stop = self._library.fold, self._state, batches.data, batches.end
        shared.enough = self._enough - self._ledger.bytes
        while how := fold(state, data, stop):
            if how == HANDED_OVER:
                self._fold_handed_over(data)
                shared.enough = self._enough - self._ledger.bytes
                if self._held() > shared.enough:
                    shared.position = shared.offset + 1
                    return
            elif how == ENOUGH:
                return
            elif how == UNREAD:
                self._pass_over_rest(batches, end)
            elif how == CORRUPT:
                raise CorruptBatch(batches, shared.batch)

    def _held(self) -> int:
        """What fold.c holds, and what its waiting rows take when they are captured."""
        shared = self._shared
        return int(shared.bytes + shared.waiting * ROW_BYTES + shared.spread)

    def _pass_over(self, unread: Unread) -> None:
        if self._ledger.pass_over(unread):
            self._close_panes()

    def _pass_over_rest(self, batches: PackedBatches, end: int) -> None:
        """Refuse the rest of a batch where fold.c found no record; what ends behind `end` is for later."""
        shared, limits = self._shared, self._rules.limits
        header = read_header(batches, shared.batch)
        for rest in unread(batches, header, shared.delta, shared.at, limits):
            if rest.next_offset <= end:
                self._pass_over(rest)
        shared.index, shared.at = header.number, header.end

    def _fold_handed_over(self, data: bytes) -> None:
        """Decode and fold the message that fold.c is not sure of."""
        self.handed_over += 1
        shared = self._shared
        key, value = (
            None if size < 0 else data[at : at + size]
            for at, size in ((shared.key_at, shared.key_size), (shared.value_at, shared.value_size))
        )
        message = Message(shared.offset, shared.append_ms, key, value)
        first, decoded = shared.item, self._codec.decode(value)
        if not isinstance(decoded, Bundle):
            self._fold_event(decoded, 0, message)
            return
        # of a bundle that is valid throughout, fold.c may have folded the first items
        for index, item in in_order(decoded):
            if isinstance(item, Refusal):
                self._ledger.refuse(item, message)
            elif index >= first:
                self._fold_event(item, index, message)

    def _fold_event(self, event: Event, index: int, message: Message) -> None:
        present, numbers, texts = 0, [0] * (self._numbers.size // 8), b""
        for i, name, kind in self._used:
            held = getattr(event, name)
            if held is None:
                continue
            present |= 1 << i
            if kind <= Kind.LITERAL:
                text = held.encode()
                numbers[i] = len(text)
                texts += text
            else:
                number = held * 1000 if kind is Kind.NUMBER else int(held)
                # only what is measured needs its value, and that is bounded far below (see `tables.check`);
                # of a number without bounds the thousandths may be infinite
                numbers[i] = round(max(-MOST, min(MOST, number)))
        packed, offset, append_ms = self._numbers.pack(*numbers), message.offset, message.append_ms
        seen = id_hash(event.event_id if self._spec.dedupe else f"{(offset, index)}")
        how = self._library.add(self._state, offset, index, append_ms, seen, present, packed, texts)
        if how == TOO_EARLY:
            self._ledger.refuse_ahead(event.occurred_at, index, message)
        elif how == STRAY:
            raw = own_bytes(self._codec, event, message.raw(index))
            self._library.stray(self._state, raw, len(raw), event.occurred_at, append_ms)

    def _close_panes(self) -> None:
        self._shared.replaying = self.replaying
        self._library.close_panes(self._state)

    def _closed_pane(self, i: int) -> ClosedPane:
        start_ms, ids, copy = c_int64(), c_void_p(), array("Q")
        count = self._library.closed(self._state, i, byref(start_ms), byref(ids))
        copy.frombytes(string_at(ids, count * copy.itemsize))
        return ClosedPane(start_ms.value, copy)
