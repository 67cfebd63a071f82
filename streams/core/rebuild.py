"""Windows of the past folded again from the log: each event goes to its window, however late it came.

A rebuild reads a partition's log up to a stored position E (`progress.next_offset`), not up to its end,
and gives what it writes the version of E. For a pane that is closed at E,

- every row that workers have written from the log before E is stored, since progress is stored last, and
  its version is below that of E: its offset is. A replay or a zombie can only write those versions again;
- every row that they still write is that of a late event, at E or behind it, under its own `late_id`. The
  rebuilt rows do not hold that event, so it adds to them.

So nothing is lost or counted twice whenever the swap happens, and a version still says which part of the
log its total is a function of: a later rebuild has a higher E, a recreated topic a higher epoch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count
from operator import attrgetter
from typing import NamedTuple, cast

from schemas.codec import Bundle, Codec
from schemas.event import Event
from streams.core.aggregate import Key, Plan, Total
from streams.core.home import Homes, numbers, partition_of
from streams.core.late import Position
from streams.core.pane import id_hash
from streams.core.rows import Row
from streams.core.rules import Rules
from streams.core.values import OFFSET_BITS, PaneIds, Progress, RecordBatch
from streams.core.window import pane_start
from streams.spec import StreamSpec

# events that wait to be added up: cheaper together, but each takes more memory than all else of it
WAITING = 20_000
# keys whose homes are remembered: murmur2 in Python costs more than all else of an event
CACHED_KEYS = 1 << 16


@dataclass(frozen=True, slots=True)
class Span:
    """The windows that start in `[start_ms, end_ms)`; both are starts of panes."""

    start_ms: int
    end_ms: int

    @classmethod
    def of(cls, from_ms: int, to_ms: int, pane_ms: int) -> "Span":
        """The windows that start in `[from_ms, to_ms)`; raises ValueError when there is none."""
        span = cls(-pane_start(-from_ms, pane_ms), -pane_start(-to_ms, pane_ms))
        if span.start_ms >= span.end_ms:
            raise ValueError(f"no window of {pane_ms // 1000} s starts between these times")
        return span

    def panes(self, pane_ms: int) -> range:
        """The starts of its panes."""
        return range(self.start_ms, self.end_ms, pane_ms)


@dataclass(frozen=True, slots=True)
class Correction:
    """How many events more a rebuilt window holds than the workers' counters have counted in it.

    Not 0 where a changed definition takes or refuses other events than before, or a gap was accepted.
    """

    window_start_ms: int
    events: int


class Stored(NamedTuple):
    """A row without its measures; `key` is (window_start in epoch seconds, *dimensions, late_id)."""

    key: Row
    version: int
    events: int


def first_open(progress: Progress, span: Span) -> int | None:
    """The first window of the span that a worker of this partition may still hold open; None when none.

    Windows after the newest event are not open: there is nothing of them in this partition yet.
    """
    start_ms = max(span.start_ms, pane_start(progress.watermark_ms, progress.pane_ms))
    return start_ms if start_ms < span.end_ms and start_ms <= progress.max_event_ms else None


class Rebuild:
    """One partition's windows of a span, from the log up to `progress.next_offset`.

    `known` are the ids of these panes, read after `progress`; `homes` is what was decided on homes of this
    log's events, by which workers have judged: what was a stray where it lies counts in no window of this
    partition. Memory grows with the events of the span (an id) and its rows, not with the log.
    """

    def __init__(
        self,
        spec: StreamSpec,
        rules: Rules,
        progress: Progress,
        span: Span,
        known: Mapping[int, PaneIds],
        homes: Sequence[Homes] = (),
    ) -> None:
        self.progress, self.span = progress, span
        self._spec, self._rules = spec, rules
        self._codec: Codec[Event] = Codec(spec.event, rules.limits.bundle_events)
        self._plan = Plan(spec)
        self._key_of, self._home = attrgetter(spec.key), lru_cache(CACHED_KEYS)(partition_of)
        # of a stream without repeats each event counts where it is
        self._numbers = numbers(homes if spec.dedupe else (), progress.partition)
        self._number = 0
        self._late = {start_ms: _before(progress, ids.late) for start_ms, ids in known.items()}
        self._on_time = {start_ms: len(ids.on_time) for start_ms, ids in known.items()}
        self._totals: dict[int, dict[Key, Total]] = {}
        self._ids: dict[int, set[int]] = {}
        # rows that workers write for late events: (pane, dimensions, late_id)
        self._singles: list[tuple[int, Key, int]] = []
        self._touched: list[Total] = []
        self._waiting = 0
        self.position = 0

    def fold(self, batch: RecordBatch) -> None:
        """Fold the messages of a batch, in the order of the log; what lies at E or behind it is left."""
        decode, append_ms, first = self._codec.decode, batch.append_ms, self.position
        end = min(batch.next_offset, self.progress.next_offset)
        for offset, value in zip(_offsets(batch), batch.values, strict=False):
            if not first <= offset < end:
                continue
            while self._numbers and self._numbers[-1][0] <= offset:
                _, self._number = self._numbers.pop()
            event = decode(value)
            if isinstance(event, Bundle):
                for index, each in event.events:
                    self._count(each, (offset, index), append_ms)
            else:
                self._count(event, (offset, 0), append_ms)
        self.position = max(first, end)

    def rows(self, stored: Iterable[Stored]) -> Iterator[Row]:
        """What makes the stored windows those of the log: their rows, and empty rows over all others.

        `stored` are the span's rows as they are now, read after `progress`. Late rows that a replay may
        write again are covered too, whether they are there or not.
        """
        covered = set[Row]()
        for start_ms, totals in sorted(self._totals.items()):
            for key, total in totals.items():
                covered.add(place := self._place(start_ms, key, 0))
                yield (*place, self.progress.version, *self._plan.columns(total))
        late = (self._place(*single) for single in self._singles)
        surplus = (row.key for row in stored if row.events and is_replaced(self.progress, row))
        for place in chain(late, surplus):
            if place not in covered:
                covered.add(place)
                yield (*place, self.progress.version, *self._plan.columns(self._plan.new_total()))

    def corrections(self, known: Mapping[int, int]) -> Iterator[Correction]:
        """How far the workers' counters are off for these windows; `known` are earlier corrections, if not 0.

        Only for windows whose ids are still kept: of others nobody knows what was counted. Windows that have
        opened and closed since E are whole as they are.
        """
        for start_ms, on_time in self._on_time.items():
            if not on_time or not is_closed(self.progress, start_ms):
                continue
            held = sum(self._plan.events(total) for total in self._totals.get(start_ms, {}).values())
            events = held - on_time - len(self._late[start_ms])
            if events or known.get(start_ms):
                yield Correction(start_ms, events)

    def _count(self, event: Event, position: Position, append_ms: int) -> None:
        at_ms = event.occurred_at
        if not self.span.start_ms <= at_ms < self.span.end_ms or at_ms > append_ms + self._rules.skew_ms:
            return
        if self._number and self._is_stray(event):
            return
        start_ms = pane_start(at_ms, self._rules.pane_ms)
        rows = self._totals.get(start_ms)
        if rows is None:
            rows, self._ids[start_ms] = self._totals.setdefault(start_ms, {}), set()
        seen = id_hash(event.event_id if self._spec.dedupe else f"{position}")
        if self._spec.dedupe:
            ids = self._ids[start_ms]
            if seen in ids:
                return
            ids.add(seen)
        key = self._plan.key_of(event)
        total = rows.get(key)
        if total is None:
            total = rows[key] = self._plan.new_total()
        if not total.gathered:
            self._touched.append(total)
        total.gathered.append(event)
        self._waiting += 1
        if self._waiting >= WAITING:
            self._gather()
        if seen in self._late.get(start_ms, ()):
            self._singles.append((start_ms, key, seen))

    def _is_stray(self, event: Event) -> bool:
        key = (self._key_of(event) or "").encode()
        return self._home(key, self._number) != self.progress.partition

    def _gather(self) -> None:
        for total in self._touched:
            self._plan.gather(total)
        self._touched, self._waiting = [], 0

    def _place(self, start_ms: int, key: Key, late_id: int) -> Row:
        return (start_ms // 1000, *(value or "" for value in key), late_id)


def earlier_logs(stored: Iterable[Stored], first_epoch: int) -> int:
    """How many events the rows hold that were read from an earlier log of the topic."""
    return sum(row.events for row in stored if row.version >> OFFSET_BITS < first_epoch)


def is_closed(progress: Progress, start_ms: int) -> bool:
    """Whether this partition had closed the window; a rebuild leaves all others alone."""
    return start_ms + progress.pane_ms <= progress.watermark_ms


def is_replaced(progress: Progress, row: Stored) -> bool:
    """Whether the rows of a rebuild stand for this one.

    They do for a closed pane's own row, which an earlier rebuild up to E may have written, and for late rows
    from before E.
    """
    own = row.key[-1] == 0
    return row.version < progress.version + own and is_closed(progress, cast(int, row.key[0]) * 1000)


def newest_closed(stored: Iterable[Stored], progress: Progress) -> int:
    """The highest version of the own rows of panes that are closed at the progress; 0 when there are none."""
    own = (row for row in stored if row.key[-1] == 0 and is_closed(progress, cast(int, row.key[0]) * 1000))
    return max((row.version for row in own), default=0)


def _before(progress: Progress, late: Mapping[int, Position]) -> set[int]:
    """The late ids that were first met before the progress."""
    return {late_id for late_id, (version, _) in late.items() if version < progress.version}


def _offsets(batch: RecordBatch) -> Iterable[int]:
    return count(batch.base_offset) if batch.offsets is None else batch.offsets
