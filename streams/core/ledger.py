"""What a fold keeps of a partition beside its windows: counts, progress, late events, what it refuses."""

from dataclasses import dataclass, replace
from typing import Protocol

from schemas.codec import Refusal
from schemas.event import Event
from streams.core.aggregate import Key, Plan, Total
from streams.core.late import LateEvents
from streams.core.message import Message
from streams.core.pane import id_hash
from streams.core.refusals import Refusals
from streams.core.rules import Rules, watermark
from streams.core.values import (
    Changes,
    ClosedPane,
    LateEvent,
    Progress,
    Row,
    Rows,
    StrayMessage,
    Unread,
    version_of,
)
from streams.core.window import pane_start
from streams.spec import StreamSpec


class Counts(Protocol):
    """Where a fold stands and what it has met; it counts here itself, the compiled one in its own memory."""

    position: int
    max_event_ms: int
    max_append_ms: int
    folded: int
    duplicates: int
    strays: int
    away: int


@dataclass(slots=True)
class PlainCounts:
    """Counts in Python."""

    position: int = 0
    max_event_ms: int = 0
    max_append_ms: int = 0
    folded: int = 0
    duplicates: int = 0
    strays: int = 0
    away: int = 0


class Ledger:
    """The books of one partition, kept alike by each fold; `counts` are the fold's own."""

    __slots__ = (
        "_late_events", "_plan", "_reported", "_rules", "_spec",
        "counts", "dead", "late", "refusals", "stored",
    )  # fmt: skip

    def __init__(self, spec: StreamSpec, rules: Rules, plan: Plan, stored: Progress, counts: Counts) -> None:
        self._spec, self._rules, self._plan = spec, rules, plan
        self.stored = self._reported = stored
        self._late_events = LateEvents()
        self.refusals = Refusals(spec.key, rules.limits)
        self.counts = counts
        counts.position = stored.replay_from
        counts.max_event_ms, counts.max_append_ms = stored.max_event_ms, stored.max_append_ms
        self._count_from_stored()

    @property
    def replaying(self) -> bool:
        """Whether the panes that were open at the stored position are still being rebuilt."""
        return self.counts.position < self.stored.next_offset

    @property
    def watermark_ms(self) -> int:
        """Panes that end at or before this time are closed; never goes back."""
        counts, stored_ms = self.counts, self.stored.watermark_ms
        if self.replaying:
            return stored_ms
        return max(stored_ms, watermark(counts.max_event_ms, counts.max_append_ms, self._rules.disorder_ms))

    @property
    def events(self) -> int:
        """Events read since the partition's beginning, whatever became of them."""
        counts = self.counts
        return counts.folded + counts.duplicates + counts.strays + self.late + self.dead

    @property
    def bytes(self) -> int:
        """About how much memory what waits beside windows takes."""
        return self._late_events.bytes + self.refusals.bytes

    def end_replay(self) -> bool:
        """Whether the panes are rebuilt; of all else that was read again nothing is news then."""
        if self.replaying:
            return False
        self._count_from_stored()
        return True

    def _count_from_stored(self) -> None:
        stored, counts = self.stored, self.counts
        counts.folded, counts.duplicates = stored.folded, stored.duplicates
        counts.strays, counts.away = stored.strays, stored.away
        self.late, self.dead = stored.late, stored.dead

    def close_all(self) -> None:
        """From here on no pane is open any more: the watermark is behind the last that may have been.

        What still comes for one of them is late, its own row.
        """
        end_ms = pane_start(self.counts.max_event_ms, self._rules.pane_ms) + self._rules.pane_ms
        self.stored = replace(self.stored, watermark_ms=max(self.watermark_ms, end_ms))

    def progress(self, first_offset: int) -> Progress:
        """Where the fold stands, whose open panes begin with `first_offset`."""
        if self.replaying:
            return self.stored
        counts = self.counts
        return replace(
            self.stored,
            next_offset=counts.position,
            replay_from=first_offset,
            pane_ms=self._rules.pane_ms,
            watermark_ms=self.watermark_ms,
            max_event_ms=counts.max_event_ms,
            max_append_ms=counts.max_append_ms,
            folded=counts.folded,
            duplicates=counts.duplicates,
            late=self.late,
            dead=self.dead,
            strays=counts.strays,
            away=counts.away,
        )

    def is_news(self, progress: Progress) -> bool:
        """Whether this progress was not captured before, and is not what is stored."""
        return not self.replaying and progress != self._reported

    def take(
        self, progress: Progress, rows: Rows, closed: list[ClosedPane], strays: list[StrayMessage]
    ) -> Changes:
        """All that waits, together with these windows and strays and the progress that they belong to."""
        self._reported = progress
        return Changes(progress, rows, closed, self._late_events.take(), *self.refusals.take(), strays)

    def add_late(self, event: Event, start_ms: int, index: int, message: Message) -> None:
        """Keep an event whose pane has closed; of one that is read again all is stored."""
        if self.replaying:
            return
        total, position = self._plan.new_total(), (message.offset, index)
        total.gathered.append(event)
        total.offset = message.offset
        late_id = id_hash(event.event_id if self._spec.dedupe else f"{position}")
        row = self.row(start_ms, self._plan.key_of(event), total, late_id)
        at_ms, append_ms = event.occurred_at, message.append_ms
        self._late_events.add(LateEvent(start_ms, late_id, event.event_id, at_ms, append_ms, position, row))
        self.late += 1

    def refuse(self, refusal: Refusal, message: Message) -> None:
        """Refuse one event of a message, or the whole of it."""
        if not self.replaying:
            self.dead += 1
            self.refusals.add(refusal, message)

    def refuse_ahead(self, at_ms: int, index: int, message: Message) -> None:
        """Refuse an event from the future, with its own bytes when it came in a bundle."""
        if self.replaying:
            return
        ahead_s = (at_ms - message.append_ms) / 1000
        reason = f"{ahead_s:,.1f} s ahead of the broker's append time: check the device's clock"
        self.refuse(Refusal(index, "occurred_at", reason, message.raw(index)), message)

    def pass_over(self, unread: Unread) -> bool:
        """One refusal for all the messages that can't be read; stored is it when all of them are.

        True where a replay ends in them, and the panes are rebuilt.
        """
        counts, rebuilt = self.counts, False
        if self.replaying:
            counts.position = max(counts.position, min(unread.next_offset, self.stored.next_offset))
            rebuilt = self.end_replay()
        if counts.position < unread.next_offset:
            message = Message(unread.base_offset, unread.append_ms, None, unread.raw)
            self.refuse(Refusal(0, "", unread.reason, unread.raw), message)
            counts.position = unread.next_offset
        return rebuilt

    def row(self, start_ms: int, key: Key, total: Total, late_id: int) -> Row:
        """A total as a row of its window."""
        version = version_of(self.stored.epoch, total.offset)
        # an absent dimension is the empty string, which no valid code can be
        dimensions = (value or "" for value in key)
        return (start_ms // 1000, *dimensions, late_id, version, *self._plan.columns(total))
