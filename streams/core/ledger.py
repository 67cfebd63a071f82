"""What a fold keeps of a partition beside its windows and late events: counts, progress, what it refuses."""

from dataclasses import dataclass, replace
from typing import Protocol

from schemas.codec import Refusal
from streams.core.late import LateEvents
from streams.core.message import Message
from streams.core.refusals import Refusals
from streams.core.rows import Rows
from streams.core.rules import Rules, watermark
from streams.core.values import Changes, ClosedPane, Progress, StrayMessage, Unread
from streams.core.window import pane_start
from streams.spec import StreamSpec


class Counts(Protocol):
    """Where a fold stands and what it has met; it counts here itself, the compiled one in its own memory."""

    position: int
    max_event_ms: int
    max_append_ms: int
    folded: int
    duplicates: int
    late: int
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
    late: int = 0
    strays: int = 0
    away: int = 0


class Ledger:
    """The books of one partition, kept alike by each fold; `counts` are the fold's own."""

    __slots__ = (
        "_reported", "_rules", "counts", "dead", "refusals", "stored",
    )  # fmt: skip

    def __init__(self, spec: StreamSpec, rules: Rules, stored: Progress, counts: Counts) -> None:
        self._rules = rules
        self.stored = self._reported = stored
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
        return counts.folded + counts.duplicates + counts.late + counts.strays + self.dead

    @property
    def bytes(self) -> int:
        """About how much memory the refusals that wait take."""
        return self.refusals.bytes

    def end_replay(self) -> bool:
        """Whether the panes are rebuilt; of all else that was read again nothing is news then."""
        if self.replaying:
            return False
        self._count_from_stored()
        return True

    def _count_from_stored(self) -> None:
        stored, counts = self.stored, self.counts
        counts.folded, counts.duplicates, counts.late = stored.folded, stored.duplicates, stored.late
        counts.strays, counts.away, self.dead = stored.strays, stored.away, stored.dead

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
            late=counts.late,
            dead=self.dead,
            strays=counts.strays,
            away=counts.away,
        )

    def is_news(self, progress: Progress) -> bool:
        """Whether this progress was not captured before, and is not what is stored."""
        return not self.replaying and progress != self._reported

    def take(
        self,
        progress: Progress,
        rows: Rows,
        closed: list[ClosedPane],
        late: LateEvents,
        strays: list[StrayMessage],
    ) -> Changes:
        """All that waits of the fold, what was refused, and the progress that all of it belongs to."""
        self._reported = progress
        return Changes(progress, rows, closed, late, *self.refusals.take(), strays)

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
