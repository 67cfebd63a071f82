"""The plain fold, in Python: what streams without a compiler are folded by, and what judges the compiled one.

Windows as panes: Li et al., No pane, no gain (SIGMOD Record 2005).
"""

from collections.abc import Iterator

from schemas.codec import Bundle, Codec, Refusal
from schemas.event import Event
from streams.core.aggregate import Key, Plan, Total
from streams.core.fold import ENDLESS, Batches
from streams.core.framing import unpack
from streams.core.late import GatheredLate, LateEvent
from streams.core.ledger import Ledger, PlainCounts
from streams.core.message import Message, in_order
from streams.core.pane import Pane, id_hash
from streams.core.panes import NEVER_MS, NO_PANE, OpenPanes
from streams.core.records import between
from streams.core.refusals import Refusals
from streams.core.rows import Row, Rows
from streams.core.rules import Rules
from streams.core.strays import Strays, home_finder, own_bytes
from streams.core.values import Changes, Progress, RecordBatch, Unread, version_of
from streams.core.window import pane_start
from streams.spec import StreamSpec

# about what a waiting row weighs once it is captured, beside what its pane holds
ROW_BYTES = 400


class PlainFold:
    """A `streams.core.fold.Fold` in Python."""

    def __init__(self, spec: StreamSpec, rules: Rules, progress: Progress) -> None:
        self._spec, self._rules, self._counts, self._plan = spec, rules, PlainCounts(), Plan(spec)
        self._codec: Codec[Event] = Codec(spec.event, rules.limits.bundle_events)
        self._panes = OpenPanes(self._plan, rules.pane_ms, dedupe=spec.dedupe)
        self._ledger = Ledger(spec, rules, progress, self._counts)
        self._home_of, self._here = home_finder(spec, progress), progress.partition
        self._forward = progress.forward
        self._late, self._strays = GatheredLate(), Strays(rules.limits.bundle_events)
        self._close_at_ms = NEVER_MS
        # once more than this waits, the fold stops behind the message that it is at
        self._enough = ENDLESS

    @property
    def position(self) -> int:
        """The next offset that it expects."""
        return self._counts.position

    @property
    def replaying(self) -> bool:
        """Whether the panes that were open at the stored position are still being rebuilt."""
        return self._ledger.replaying

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        # where no pane is open, a replay begins where the fold goes on
        return self._ledger.progress(self._panes.first_offset(self._counts.position))

    @property
    def folded(self) -> int:
        """Events that were counted on time."""
        return self._counts.folded

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
        waiting = self._panes.kept_bytes + self._panes.rows_waiting * ROW_BYTES
        return waiting + self._late.bytes + self._strays.bytes + self._ledger.bytes

    @property
    def open_bytes(self) -> int:
        """About how many bytes the open panes hold, their rows that wait to be flushed among them."""
        return self._panes.open_bytes

    @property
    def open_panes(self) -> int:
        """How many panes are open."""
        return len(self._panes)

    def fold(self, batches: Batches, room: int = ENDLESS) -> None:
        """Fold the messages of these batches that have not been folded yet, in the order of the log."""
        if self.position >= batches.next_offset:
            return
        self._enough = self.pending + room
        for piece in self._pieces(batches):
            if isinstance(piece, Unread):
                if self._ledger.pass_over(piece):
                    self._close_panes()
            else:
                self._fold_piece(piece)
            if self.position >= batches.next_offset or self.pending > self._enough:
                return

    def _pieces(self, batches: Batches) -> Iterator[RecordBatch | Unread]:
        return iter((batches,)) if isinstance(batches, Unread) else unpack(batches, self._rules.limits)

    def capture(self) -> Changes | None:
        """Take all that waits, together with the position it belongs to; None when nothing changed."""
        progress = self.progress
        if self.replaying or not (self._ledger.is_news(progress) or self._panes.rows_waiting):
            return None
        waiting, closed = self._panes.take()
        rows = Rows.of(self._row(pane.start_ms, key, total, 0) for pane, key, total in waiting)
        return self._ledger.take(progress, rows, closed, self._late.take(), self._strays.take())

    def close_all(self) -> None:
        """Close every open pane, as if the watermark had passed it."""
        self._ledger.close_all()
        self._close_panes()

    def _fold_piece(self, batch: RecordBatch) -> None:
        if self.replaying:
            self._fold_until(self._ledger.stored.next_offset, batch)
            if self._ledger.end_replay():
                # a shorter disorder than the stored one's closes panes as soon as all are rebuilt
                self._close_panes()
        self._fold_until(batch.next_offset, batch)

    def _fold_until(self, end: int, batch: RecordBatch) -> None:
        counts, append_ms = self._counts, batch.append_ms
        start, end = counts.position, min(end, batch.next_offset)
        if end <= start:
            return
        offsets, keys, values = between(batch, start, end)
        count, pane, home_of = self._panes.count, NO_PANE, self._home_of
        decoded = self._codec.decode_all(values)
        for offset, key, value, event in zip(offsets, keys, values, decoded, strict=True):
            if isinstance(event, Bundle):
                self._fold_bundle(event, Message(offset, append_ms, key, value))
                pane = NO_PANE
                if self.pending > self._enough:
                    counts.position = min(offset + 1, end)
                    return
                continue
            at_ms = event.occurred_at
            if home_of is not None and home_of(event) != self._here:
                pane = self._fold_event(event, 0, Message(offset, append_ms, key, value))
                continue
            # most events fall into the pane of the event before, and it is still open
            if not pane.start_ms <= at_ms < pane.end_ms or at_ms > append_ms:
                pane = self._fold_event(event, 0, Message(offset, append_ms, key, value))
                continue
            # as in `_count_in`, without its call
            if count(pane, event, offset):
                counts.folded += 1
            else:
                counts.duplicates += 1
            if at_ms > counts.max_event_ms:
                counts.max_event_ms = at_ms
                if at_ms >= self._close_at_ms:
                    self._close_panes()
                    pane = NO_PANE
        counts.position = end

    def _fold_bundle(self, bundle: Bundle[Event], message: Message) -> None:
        for index, item in in_order(bundle):
            if isinstance(item, Refusal):
                self._ledger.refuse(item, message)
            else:
                self._fold_event(item, index, message)

    def _fold_event(self, event: Event, index: int, message: Message) -> Pane:
        """Fold one event of a message wherever it belongs; the pane it fell into, or NO_PANE."""
        at_ms, append_ms, counts = event.occurred_at, message.append_ms, self._counts
        if at_ms > append_ms + self._rules.skew_ms:
            self._ledger.refuse_ahead(at_ms, index, message)
            return NO_PANE
        start_ms = pane_start(at_ms, self._rules.pane_ms)
        home = self._here if self._home_of is None else self._home_of(event)
        if home != self._here and self._forward:
            self._send_home(home, event, index, message)
            return NO_PANE
        counts.away += home != self._here
        pane = self._panes.get(start_ms) or self._open(start_ms, message.offset)
        if pane is NO_PANE:
            self._add_late(event, start_ms, index, message)
        else:
            self._count_in(pane, event, message.offset)
        self._see(at_ms, append_ms)
        return pane if start_ms in self._panes else NO_PANE

    def _send_home(self, home: int, event: Event, index: int, message: Message) -> None:
        """Keep a stray to be sent; of one that is read again that was done."""
        if not self.replaying:
            self._strays.add(home, own_bytes(self._codec, event, message.raw(index)))
            self._counts.strays += 1
        self._see(event.occurred_at, message.append_ms)

    def _see(self, at_ms: int, append_ms: int) -> None:
        """Note the times of a valid event, whatever becomes of it, and close what they close."""
        counts = self._counts
        counts.max_event_ms = max(counts.max_event_ms, at_ms)
        counts.max_append_ms = max(counts.max_append_ms, append_ms)
        self._close_panes()

    def _add_late(self, event: Event, start_ms: int, index: int, message: Message) -> None:
        """Keep an event whose pane has closed; of one that is read again all is stored."""
        if self.replaying:
            return
        total, position = self._plan.new_total(), (message.offset, index)
        total.gathered.append(event)
        total.offset = message.offset
        late_id = id_hash(event.event_id if self._spec.dedupe else f"{position}")
        row = self._row(start_ms, self._plan.key_of(event), total, late_id)
        at_ms, append_ms = event.occurred_at, message.append_ms
        self._late.add(LateEvent(start_ms, late_id, event.event_id, at_ms, append_ms, position, row))
        self._counts.late += 1

    def _row(self, start_ms: int, key: Key, total: Total, late_id: int) -> Row:
        """A total as a row of its window."""
        version = version_of(self._ledger.stored.epoch, total.offset)
        # an absent dimension is the empty string, which no valid code can be
        dimensions = (value or "" for value in key)
        return (start_ms // 1000, *dimensions, late_id, version, *self._plan.columns(total))

    def _open(self, start_ms: int, offset: int) -> Pane:
        """A new pane, or NO_PANE where the watermark has closed it."""
        if start_ms + self._rules.pane_ms <= self._ledger.watermark_ms:
            return NO_PANE
        return self._panes.open(start_ms, offset)

    def _count_in(self, pane: Pane, event: Event, offset: int) -> None:
        """Count an event in its open pane, unless its id is there."""
        if self._panes.count(pane, event, offset):
            self._counts.folded += 1
        else:
            self._counts.duplicates += 1

    def _close_panes(self) -> None:
        """Close the panes that the watermark has passed, and note when the next one closes."""
        self._panes.close_until(self._ledger.watermark_ms)
        close_at_ms = self._panes.first_end_ms + self._rules.disorder_ms
        self._close_at_ms = close_at_ms if close_at_ms <= self._counts.max_append_ms else NEVER_MS
