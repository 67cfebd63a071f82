"""The compiled fold of one partition: what `PartitionState` is in Python, at a fraction of the cost.

fold.c folds the events that it is sure of. Every other message comes here, in its place among them: the
plain engine's code decodes it and decides, and its valid events go back into the same state.
"""

import struct
import weakref
from array import array
from ctypes import POINTER, byref, c_int64, c_void_p, cast, string_at
from typing import Any

from schemas.codec import Bundle
from schemas.event import Event
from schemas.fields import Kind, field_rules
from streams.core.framing import CorruptBatch, read_header, unread
from streams.core.message import Message
from streams.core.pane import Pane, id_hash
from streams.core.partition import ENDLESS, NO_PANE, PartitionState
from streams.core.records import pack
from streams.core.rules import Rules
from streams.core.values import ClosedPane, PackedBatches, Progress, RecordBatch, Rows, Unread
from streams.core.window import pane_start
from streams.native.checks import used_fields
from streams.native.library import CORRUPT, ENOUGH, HANDED_OVER, LATE, TOO_EARLY, UNREAD, Library, Shared
from streams.native.rows import take_rows
from streams.native.tables import stream_table
from streams.spec import StreamSpec


def _held(name: str) -> Any:
    """A number that the plain state keeps in an attribute, and this one in fold.c's memory."""

    def get(self: "NativePartitionState") -> int:
        return int(getattr(self._shared, name))

    def put(self: "NativePartitionState", value: int) -> None:
        setattr(self._shared, name, value)

    return property(get, put)


# where fold.c notes that a row waits
WAITING_BYTES = 16
# the largest number that fold.c holds
MOST = 2**63 - 1


class NativePartitionState(PartitionState):
    """A `PartitionState` whose open panes fold.c holds; raises Unsupported for streams it can't fold."""

    # 50 to 100 packed
    row_bytes = 100 + WAITING_BYTES
    position = _held("position")
    max_event_ms = _held("max_event_ms")
    max_append_ms = _held("max_append_ms")
    folded = _held("folded")
    duplicates = _held("duplicates")

    def __init__(self, spec: StreamSpec, rules: Rules, progress: Progress, library: Library) -> None:
        self._library = library
        self._state = library.new(byref(stream_table(spec, rules)))
        weakref.finalize(self, library.free, self._state)
        self._shared: Any = cast(self._state, POINTER(Shared)).contents
        self._shared.watermark_ms, self._shared.row_bytes = progress.watermark_ms, self.row_bytes
        fields, used = field_rules(spec.event), used_fields(spec)
        self._used = [(i, rule.name, rule.kind) for i, rule in enumerate(fields) if rule.name in used]
        self._numbers = struct.Struct(f"={len(fields)}q")
        self.handed_over = 0
        super().__init__(spec, rules, progress)
        self._close_panes()

    @property
    def watermark_ms(self) -> int:
        """Panes that end at or before this time are closed; never goes back."""
        return int(self._shared.watermark_ms)

    @property
    def memory(self) -> int:
        """All the bytes that fold.c holds: for itself, for open panes, and for what waits."""
        return int(self._shared.bytes)

    @property
    def open_bytes(self) -> int:
        """How many bytes the open panes hold, their rows that wait to be flushed among them."""
        return int(self._shared.bytes - self._shared.kept - self._shared.waiting * WAITING_BYTES)

    def fold(self, batch: RecordBatch | PackedBatches | Unread, room: int = ENDLESS) -> None:
        """Fold the messages of these batches that have not been folded yet, as `PartitionState` does.

        What open panes come to hold needs room too.
        """
        if isinstance(batch, Unread):
            self._pass_over(batch)
            return
        batches = pack(batch) if isinstance(batch, RecordBatch) else batch
        if self.replaying:
            # nothing can be captured before the end of it
            self._enough = ENDLESS
            self._fold_packed(self._stored.next_offset, batches)
            self._forget_what_is_stored()
            self._close_panes()
        self._enough = self._held() + self._outside() + room
        self._fold_packed(batches.next_offset, batches)

    def _fold_packed(self, end: int, batches: PackedBatches) -> None:
        shared, end = self._shared, min(end, batches.next_offset)
        if end <= shared.position:
            return
        shared.end, shared.limit, shared.replaying = end, batches.next_offset, self.replaying
        shared.batch, shared.at, shared.index = batches.start, 0, 0
        fold, state, data, stop = self._library.fold, self._state, batches.data, batches.end
        shared.enough = self._enough - self._outside()
        while how := fold(state, data, stop):
            if how == HANDED_OVER:
                self._fold_handed_over(data)
                shared.enough = self._enough - self._outside()
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
        return int(shared.bytes + shared.waiting * self.row_bytes + shared.spread)

    def _outside(self) -> int:
        """What waits and is not in fold.c's memory."""
        return self._late_bytes + self.refusals.bytes

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
        rest = [(index, event) for index, event in decoded.events if index >= first]
        self._fold_bundle(Bundle(rest, decoded.refusals), message)

    def _fold_event(self, event: Event, index: int, message: Message) -> Pane:
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
        packed, seen = self._numbers.pack(*numbers), id_hash(event.event_id)
        offset, append_ms = message.offset, message.append_ms
        how = self._library.add(self._state, offset, append_ms, seen, present, packed, texts)
        if how == TOO_EARLY:
            self._refuse_ahead(event.occurred_at, index, message)
        elif how == LATE:
            start_ms = pane_start(event.occurred_at, self._rules.pane_ms)
            self._add_late(event, start_ms, index, message)
        return NO_PANE

    def _close_panes(self) -> None:
        self._shared.replaying = self.replaying
        self._library.close_panes(self._state)

    def _first_offset(self) -> int:
        return int(self._library.first_offset(self._state, self.position))

    def _rows_waiting(self) -> int:
        return int(self._shared.waiting)

    def _kept_bytes(self) -> int:
        return int(self._shared.kept + self._shared.spread)

    def _take_waiting(self) -> tuple[Rows, list[ClosedPane]]:
        rows = take_rows(self._library, self._state, self._spec, self._shared.waiting, self._stored.epoch)
        closed = [self._closed_pane(i) for i in range(self._shared.closed)]
        self._library.flushed(self._state)
        return rows, closed

    def _closed_pane(self, i: int) -> ClosedPane:
        start_ms, ids, copy = c_int64(), c_void_p(), array("Q")
        count = self._library.closed(self._state, i, byref(start_ms), byref(ids))
        copy.frombytes(string_at(ids, count * copy.itemsize))
        return ClosedPane(start_ms.value, copy)
