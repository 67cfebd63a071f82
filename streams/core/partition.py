"""The fold of one Kafka partition: record batches in, changes to flush out.

Every decision (on time, duplicate, late, dead, which offset closes which pane) is a function of the
log alone: not of how the log is cut into batches, of the wall clock, or of when a worker crashed.
Windows as panes: Li et al., No pane, no gain (SIGMOD Record 2005).
"""

from dataclasses import replace
from heapq import heappop, heappush
from operator import itemgetter

from schemas.codec import Bundle, Codec, Refusal
from schemas.event import Event
from streams.core.aggregate import GATHERED, Key, Plan, Total
from streams.core.framing import unpack
from streams.core.message import Message
from streams.core.pane import GATHERED_BYTES, Pane, held_bytes, id_hash, kept_bytes
from streams.core.records import between
from streams.core.refusals import Refusals
from streams.core.rules import Rules, watermark
from streams.core.values import (
    Changes,
    ClosedPane,
    LateEvent,
    PackedBatches,
    Progress,
    RecordBatch,
    Row,
    Rows,
    Unread,
    version_of,
)
from streams.core.window import pane_start
from streams.spec import StreamSpec

# what a late event weighs in memory until it is stored, and each character of its id and dimensions
LATE_BYTES, LATE_TEXT_BYTES = 1200, 4
NEVER_MS = 1 << 62
# room in which anything may wait
ENDLESS = 1 << 62
NO_PANE = Pane(NEVER_MS, NEVER_MS, 0)


class PartitionState:
    """All that a worker holds of one partition.

    Built from a stored `Progress`, it expects the log from `progress.replay_from` on. Up to the stored
    `next_offset` the log only rebuilds the panes that were open there; from then on everything counts.
    """

    # about what a waiting row weighs once it is captured, beside what its pane holds
    row_bytes = 400

    def __init__(self, spec: StreamSpec, rules: Rules, progress: Progress) -> None:
        self._spec, self._rules, self._stored, self._reported = spec, rules, progress, progress
        self._codec: Codec[Event] = Codec(spec.event, rules.limits.bundle_events)
        self._plan = Plan(spec)
        self._panes: dict[int, Pane] = {}
        self._starts: list[int] = []  # of the open panes, as a heap: the first on top
        self._close_at_ms = NEVER_MS
        self._waiting: list[tuple[Pane, Key, Total]] = []
        self._closed: list[ClosedPane] = []
        self._kept = self._kept_rows = self._captured = 0
        self._late, self._late_bytes = list[LateEvent](), 0
        self.refusals = Refusals(spec.key, rules.limits)
        # once more than this waits, the fold stops behind the message that it is at
        self._enough = ENDLESS
        self.position = progress.replay_from
        self.max_event_ms, self.max_append_ms = progress.max_event_ms, progress.max_append_ms
        self._forget_what_is_stored()

    @property
    def replaying(self) -> bool:
        """Whether the panes that were open at the stored position are still being rebuilt."""
        return self.position < self._stored.next_offset

    @property
    def watermark_ms(self) -> int:
        """Panes that end at or before this time are closed; never goes back."""
        if self.replaying:
            return self._stored.watermark_ms
        now_ms = watermark(self.max_event_ms, self.max_append_ms, self._rules.disorder_ms)
        return max(self._stored.watermark_ms, now_ms)

    @property
    def pending(self) -> int:
        """About how many bytes wait to be flushed, the bound of back-pressure; 0 while nothing can be."""
        if self.replaying:
            return 0
        rows = self._rows_waiting() * self.row_bytes
        return self._kept_bytes() + rows + self._late_bytes + self.refusals.bytes

    @property
    def open_bytes(self) -> int:
        """About how many bytes the open panes hold, their rows that wait to be flushed among them."""
        rows = len(self._waiting) - self._kept_rows
        events = min(self.folded - self._captured, rows * GATHERED)
        return sum(map(held_bytes, self._panes.values())) + events * GATHERED_BYTES

    @property
    def progress(self) -> Progress:
        """Where the fold stands. `late` counts late duplicates too, until `settle` tells them apart."""
        if self.replaying:
            return self._stored
        return replace(
            self._stored,
            next_offset=self.position,
            replay_from=self._first_offset(),
            pane_ms=self._rules.pane_ms,
            watermark_ms=self.watermark_ms,
            max_event_ms=self.max_event_ms,
            max_append_ms=self.max_append_ms,
            folded=self.folded,
            duplicates=self.duplicates,
            late=self.late,
            dead=self.dead,
        )

    def fold(self, batch: RecordBatch | PackedBatches | Unread, room: int = ENDLESS) -> None:
        """Fold the messages of one batch or several that have not been folded yet, in the order of the log.

        Once `room` more bytes wait to be flushed, it stops behind the message that it is at: while `position`
        is below the batch's `next_offset`, call it again with the same batch. Raises CorruptBatch where the
        log itself is broken.
        """
        self._enough = self.pending + room
        if isinstance(batch, PackedBatches):
            pieces = unpack(batch, self._rules.limits)
            while self.position < batch.next_offset and (piece := next(pieces, None)):
                self._fold_piece(piece)
                if self.pending > self._enough:
                    return
        else:
            self._fold_piece(batch)

    def _fold_piece(self, batch: RecordBatch | Unread) -> None:
        if isinstance(batch, Unread):
            self._pass_over(batch)
            return
        if self.replaying:
            self._fold_until(self._stored.next_offset, batch)
            self._forget_what_is_stored()
            # a shorter disorder than the stored one's closes panes as soon as all are rebuilt
            self._close_panes()
        self._fold_until(batch.next_offset, batch)

    def capture(self) -> Changes | None:
        """Take all that waits, together with the position it belongs to; None when nothing changed.

        While open panes are being rebuilt there is nothing to report that is not stored already.
        """
        progress = self.progress
        if self.replaying or (progress == self._reported and not self._rows_waiting()):
            return None
        rows, closed = self._take_waiting()
        changes = Changes(progress, rows, closed, self._late, *self.refusals.take())
        self._late, self._late_bytes = [], 0
        self._reported = progress
        return changes

    def _rows_waiting(self) -> int:
        return len(self._waiting)

    def _kept_bytes(self) -> int:
        """What closed panes hold until they are flushed."""
        return self._kept

    def _first_offset(self) -> int:
        """The first offset of any open pane; the position when none is."""
        return min((pane.first_offset for pane in self._panes.values()), default=self.position)

    def _take_waiting(self) -> tuple[Rows, list[ClosedPane]]:
        """The rows and the closed panes that wait; nothing of them waits any more."""
        closed = self._closed
        rows = Rows.of(self._row(pane.start_ms, key, total, 0) for pane, key, total in self._waiting)
        for _, _, total in self._waiting:
            total.waiting = False
        self._waiting, self._closed = [], []
        self._kept, self._kept_rows, self._captured = 0, 0, self.folded
        return rows, closed

    def _forget_what_is_stored(self) -> None:
        """Of a replayed message only the rows and ids of open panes are news."""
        self._late, self._late_bytes = [], 0
        self.refusals.forget()
        stored = self._stored
        self.folded, self.duplicates, self.late, self.dead = (
            stored.folded, stored.duplicates, stored.late, stored.dead,
        )  # fmt: skip

    def _fold_until(self, end: int, batch: RecordBatch) -> None:
        start, end, append_ms = self.position, min(end, batch.next_offset), batch.append_ms
        if end <= start:
            return
        offsets, keys, values = between(batch, start, end)
        count_in, pane = self._count_in, NO_PANE
        decoded = self._codec.decode_all(values)
        for offset, key, value, event in zip(offsets, keys, values, decoded, strict=True):
            if isinstance(event, Bundle):
                self._fold_bundle(event, Message(offset, append_ms, key, value))
                pane = NO_PANE
                if self.pending > self._enough:
                    self.position = min(offset + 1, end)
                    return
                continue
            at_ms = event.occurred_at
            # most events fall into the pane of the event before, and it is still open
            if not pane.start_ms <= at_ms < pane.end_ms or at_ms > append_ms:
                pane = self._fold_event(event, 0, Message(offset, append_ms, key, value))
                continue
            count_in(pane, event, offset)
            if at_ms > self.max_event_ms:
                self.max_event_ms = at_ms
                if at_ms >= self._close_at_ms:
                    self._close_panes()
                    pane = NO_PANE
        self.position = end

    def _pass_over(self, unread: Unread) -> None:
        """One refusal for all the messages that can't be read; stored is it when all of them are."""
        if unread.next_offset <= self.position:
            return
        if self.replaying:
            self.position = position = min(unread.next_offset, self._stored.next_offset)
            if position == self._stored.next_offset:
                self._forget_what_is_stored()
                self._close_panes()
        if self.position < unread.next_offset:
            message = Message(unread.base_offset, unread.append_ms, None, unread.raw)
            self._refuse(Refusal(0, "", unread.reason, unread.raw), message)
            self.position = unread.next_offset

    def _fold_bundle(self, bundle: Bundle[Event], message: Message) -> None:
        items: list[tuple[int, Event | Refusal]] = [(refusal.index, refusal) for refusal in bundle.refusals]
        for index, item in sorted([*bundle.events, *items], key=itemgetter(0)):
            if isinstance(item, Refusal):
                self._refuse(item, message)
            else:
                self._fold_event(item, index, message)

    def _fold_event(self, event: Event, index: int, message: Message) -> Pane:
        """Fold one event of a message wherever it belongs; the pane it fell into, or NO_PANE."""
        at_ms, append_ms = event.occurred_at, message.append_ms
        if at_ms > append_ms + self._rules.skew_ms:
            self._refuse_ahead(at_ms, index, message)
            return NO_PANE
        start_ms = pane_start(at_ms, self._rules.pane_ms)
        pane = self._panes.get(start_ms) or self._open(start_ms, message.offset)
        if pane is NO_PANE:
            self._add_late(event, start_ms, index, message)
        else:
            self._count_in(pane, event, message.offset)
        self.max_event_ms = max(self.max_event_ms, at_ms)
        self.max_append_ms = max(self.max_append_ms, append_ms)
        self._close_panes()
        return pane if start_ms in self._panes else NO_PANE

    def _open(self, start_ms: int, offset: int) -> Pane:
        """A new pane, or NO_PANE where the watermark has closed it."""
        end_ms = start_ms + self._rules.pane_ms
        if end_ms <= self.watermark_ms:
            return NO_PANE
        pane = self._panes[start_ms] = Pane(start_ms, end_ms, offset)
        heappush(self._starts, start_ms)
        return pane

    def _count_in(self, pane: Pane, event: Event, offset: int) -> None:
        """Count an event in its open pane, unless its id is there."""
        if self._spec.dedupe:
            seen = id_hash(event.event_id)
            if seen in pane.ids:
                self.duplicates += 1
                return
            pane.ids.add(seen)
        self.folded += 1
        key = self._plan.key_of(event)
        total = pane.rows.get(key)
        if total is None:
            total = pane.rows[key] = self._plan.new_total()
        if not total.waiting:
            total.waiting = True
            self._waiting.append((pane, key, total))
        total.offset = offset
        total.gathered.append(event)
        if len(total.gathered) >= GATHERED:
            self._plan.gather(total)

    def _add_late(self, event: Event, start_ms: int, index: int, message: Message) -> None:
        total, position = self._plan.new_total(), (message.offset, index)
        total.gathered.append(event)
        total.offset = position[0]
        late_id = id_hash(event.event_id if self._spec.dedupe else f"{position}")
        key = self._plan.key_of(event)
        row = self._row(start_ms, key, total, late_id)
        at_ms, append_ms = event.occurred_at, message.append_ms
        late = LateEvent(start_ms, late_id, event.event_id, at_ms, append_ms, position, row)
        self._late.append(late)
        texts = len(event.event_id) + sum(len(value or "") for value in key)
        self._late_bytes += LATE_BYTES + LATE_TEXT_BYTES * texts
        self.late += 1

    def _refuse(self, refusal: Refusal, message: Message) -> None:
        """Refuse one event of a message, or the whole of it; what is replayed is stored already."""
        self.dead += 1
        if not self.replaying:
            self.refusals.add(refusal, message)

    def _refuse_ahead(self, at_ms: int, index: int, message: Message) -> None:
        """Refuse an event from the future, with its own bytes when it came in a bundle."""
        ahead_s = (at_ms - message.append_ms) / 1000
        reason = f"{ahead_s:,.1f} s ahead of the broker's append time: check the device's clock"
        self._refuse(Refusal(index, "occurred_at", reason, message.raw(index)), message)

    def _close_panes(self) -> None:
        """Close the panes that the watermark has passed, and note when the next one closes."""
        starts, now_ms, pane_ms = self._starts, self.watermark_ms, self._rules.pane_ms
        while starts and starts[0] + pane_ms <= now_ms:
            self._close(self._panes.pop(heappop(starts)))
        first_end_ms = starts[0] + pane_ms if starts else NEVER_MS
        close_at_ms = first_end_ms + self._rules.disorder_ms
        self._close_at_ms = close_at_ms if close_at_ms <= self.max_append_ms else NEVER_MS

    def _close(self, pane: Pane) -> None:
        """Keep of a pane its ids, and the rows that wait without the events that gathered."""
        if self._spec.dedupe:
            self._closed.append(pane.closed())
        waiting = [total for total in pane.rows.values() if total.waiting]
        for total in waiting:
            self._plan.gather(total)
        self._kept += kept_bytes(pane, len(waiting))
        self._kept_rows += len(waiting)
        pane.forget()

    def _row(self, start_ms: int, key: Key, total: Total, late_id: int) -> Row:
        version = version_of(self._stored.epoch, total.offset)
        # an absent dimension is the empty string, which no valid code can be
        dimensions = (value or "" for value in key)
        return (start_ms // 1000, *dimensions, late_id, version, *self._plan.columns(total))
