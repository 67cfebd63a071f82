"""The panes of one partition: open ones, what waits of them to be flushed, and what closed ones leave."""

from heapq import heappop, heappush

from schemas.event import Event
from streams.core.aggregate import GATHERED, Key, Plan, Total
from streams.core.pane import GATHERED_BYTES, Pane, held_bytes, id_hash, kept_bytes
from streams.core.values import ClosedPane

NEVER_MS = 1 << 62
NO_PANE = Pane(NEVER_MS, NEVER_MS, 0)

# a row that waits: its pane, its key, its total
Waiting = tuple[Pane, Key, Total]


class OpenPanes:
    """Panes of `pane_ms` by their start; whoever knows the watermark says what to open and to close."""

    __slots__ = (
        "_by_start",
        "_closed",
        "_dedupe",
        "_gathered",
        "_kept_rows",
        "_pane_ms",
        "_plan",
        "_starts",
        "_waiting",
        "kept_bytes",
    )

    def __init__(self, plan: Plan, pane_ms: int, *, dedupe: bool) -> None:
        self._plan, self._pane_ms, self._dedupe = plan, pane_ms, dedupe
        self._by_start: dict[int, Pane] = {}
        self._starts: list[int] = []  # as a heap: the first on top
        self._waiting: list[Waiting] = []
        self._closed: list[ClosedPane] = []
        # what closed panes hold until they are flushed; rows of theirs; events since the last flush
        self.kept_bytes = self._kept_rows = self._gathered = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._by_start)

    def __contains__(self, start_ms: int) -> bool:
        """Whether the pane that begins there is open."""
        return start_ms in self._by_start

    @property
    def rows_waiting(self) -> int:
        """Rows that have changed since the last flush."""
        return len(self._waiting)

    @property
    def open_bytes(self) -> int:
        """About how many bytes the open panes hold, their rows that wait to be flushed among them."""
        events = min(self._gathered, (len(self._waiting) - self._kept_rows) * GATHERED)
        return sum(map(held_bytes, self._by_start.values())) + events * GATHERED_BYTES

    @property
    def first_end_ms(self) -> int:
        """When the first of them ends; NEVER_MS where none is open."""
        return self._starts[0] + self._pane_ms if self._starts else NEVER_MS

    def first_offset(self, otherwise: int) -> int:
        """The first offset of any open pane; `otherwise` when none is."""
        return min((pane.first_offset for pane in self._by_start.values()), default=otherwise)

    def get(self, start_ms: int) -> Pane | None:
        """The open pane that begins there."""
        return self._by_start.get(start_ms)

    def open(self, start_ms: int, offset: int) -> Pane:
        """A new pane, whose first event has this offset."""
        pane = self._by_start[start_ms] = Pane(start_ms, start_ms + self._pane_ms, offset)
        heappush(self._starts, start_ms)
        return pane

    def count(self, pane: Pane, event: Event, offset: int) -> bool:
        """Count an event in an open pane; False, and nothing else, where its id is there already."""
        if self._dedupe:
            seen = id_hash(event.event_id)
            if seen in pane.ids:
                return False
            pane.ids.add(seen)
        self._gathered += 1
        key = self._plan.key_of(event)
        total = pane.rows.get(key)
        if total is None:
            total = pane.rows[key] = self._plan.new_total()
            pane.characters += sum(map(len, filter(None, key)))
        if not total.waiting:
            total.waiting = True
            self._waiting.append((pane, key, total))
        total.offset = offset
        total.gathered.append(event)
        if len(total.gathered) >= GATHERED:
            self._plan.gather(total)
        return True

    def close_until(self, now_ms: int) -> None:
        """Close the panes that end at or before this time, the first one first."""
        while self.first_end_ms <= now_ms:
            self._close(self._by_start.pop(heappop(self._starts)))

    def take(self) -> tuple[list[Waiting], list[ClosedPane]]:
        """The rows and the closed panes that wait; nothing of them waits any more."""
        waiting, closed = self._waiting, self._closed
        for _, _, total in waiting:
            total.waiting = False
        self._waiting, self._closed = [], []
        self.kept_bytes = self._kept_rows = self._gathered = 0
        return waiting, closed

    def _close(self, pane: Pane) -> None:
        """Keep of a pane its ids, and the rows that wait without the events that gathered."""
        if self._dedupe:
            self._closed.append(pane.closed())
        waiting = [total for total in pane.rows.values() if total.waiting]
        for total in waiting:
            self._plan.gather(total)
        self.kept_bytes += kept_bytes(pane, len(waiting))
        self._kept_rows += len(waiting)
        pane.forget()
