"""Late events, told apart from their duplicates.

A late event's pane is closed, its ids are no longer in memory. Before a flush, the ids of the panes
concerned are looked up together; what they hold is a duplicate. An id that was first met late is known
by its position: only a later position is a duplicate, so that a replay of the first one is not.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from streams.core.values import Changes, ClosedPane, LateEvent, PaneIds, version_of

# 8 bytes each: what all partitions of a worker may remember, and one of them at most
CACHED_IDS, CACHED_BY_ONE = 4_000_000, 1_000_000
# a pane itself, and a late id with its position, take as much memory as so many ids on time
PANE_WEIGHT, LATE_WEIGHT = 60, 30


class Settler:
    """The late events of one partition: knows recently closed panes, counts the duplicates it found."""

    __slots__ = ("_cache", "_cached", "_duplicates", "capacity")

    def __init__(self, capacity: int = CACHED_BY_ONE) -> None:
        self._cache: OrderedDict[int, PaneIds] = OrderedDict()
        self._cached = 0
        self.capacity = capacity
        self._duplicates = 0

    def wanted(self, changes: Changes) -> set[int]:
        """The panes (window_start_ms) whose ids have to be fetched before `settle`."""
        return {late.window_start_ms for late in changes.late} - self._cache.keys() - _starts(changes.closed)

    def settle(self, changes: Changes, fetched: Mapping[int, PaneIds]) -> Changes:
        """The changes without the duplicates among their late events; call once for each capture, in order.

        A pane that is wanted but not in `fetched` has no known ids.
        """
        for pane in changes.closed:
            self._remember(pane.window_start_ms, PaneIds(on_time=pane.ids))
        epoch = changes.progress.epoch
        new = [event for event in changes.late if self._is_new(event, epoch, fetched)]
        self._duplicates += len(changes.late) - len(new)
        self._shrink()
        progress = changes.progress
        counted = replace(
            progress,
            late=progress.late - self._duplicates,
            duplicates=progress.duplicates + self._duplicates,
        )
        return replace(changes, late=new, progress=counted)

    def _is_new(self, event: LateEvent, epoch: int, fetched: Mapping[int, PaneIds]) -> bool:
        start_ms = event.window_start_ms
        known = self._cache.get(start_ms)
        if known is None:
            known = fetched.get(start_ms, PaneIds())
            self._remember(start_ms, known)
        self._cache.move_to_end(start_ms)
        if _holds(known.on_time, event.id):
            return False
        offset, index = event.position
        place = version_of(epoch, offset), index
        if event.id not in known.late:
            known.late[event.id] = place
            self._cached += LATE_WEIGHT
        return place <= known.late[event.id]

    def _remember(self, start_ms: int, known: PaneIds) -> None:
        self._cache[start_ms] = known
        self._cached += _weight(known)

    def _shrink(self) -> None:
        """Forget the panes that were not asked for longest."""
        while self._cache and self._cached > self.capacity:
            _, known = self._cache.popitem(last=False)
            self._cached -= _weight(known)


def _weight(known: PaneIds) -> int:
    return PANE_WEIGHT + len(known.on_time) + LATE_WEIGHT * len(known.late)


def _starts(closed: Iterable[ClosedPane]) -> set[int]:
    return {pane.window_start_ms for pane in closed}


def _holds(ids: Sequence[int], wanted: int) -> bool:
    at = bisect_left(ids, wanted)
    return at < len(ids) and ids[at] == wanted
