"""Late events, told apart from their duplicates.

A late event's pane is closed, its ids are no longer in memory. Those of panes that this worker has closed
itself are remembered for a while; before a flush, the ids that came late to any other pane are looked up
together. What is found is a duplicate. An id that was first met late is known by its position: only a later
position is a duplicate, so that a replay of the first one is not.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from streams.core.values import Changes, LateEvent, PaneIds, version_of

# 8 bytes each: what all partitions of a worker may remember, and one of them at most
CACHED_IDS, CACHED_BY_ONE = 4_000_000, 1_000_000
# a pane itself, and a late id with its position, take as much memory as so many ids on time
PANE_WEIGHT, LATE_WEIGHT = 60, 30


class LateDeduplicator:
    """The late events of one partition: knows recently closed panes, counts the duplicates it found."""

    __slots__ = ("_cache", "_cached", "_duplicates", "capacity")

    def __init__(self, capacity: int = CACHED_BY_ONE) -> None:
        self._cache: OrderedDict[int, PaneIds] = OrderedDict()
        self._cached = 0
        self.capacity = capacity
        self._duplicates = 0

    def asked(self, changes: Changes) -> dict[int, set[int]]:
        """The ids that have to be looked up before `drop`, by their panes (window_start_ms)."""
        asked = dict[int, set[int]]()
        known = self._cache.keys() | {pane.window_start_ms for pane in changes.closed}
        for late in changes.late:
            if late.window_start_ms not in known:
                asked.setdefault(late.window_start_ms, set()).add(late.id)
        return asked

    def drop(self, changes: Changes, found: Mapping[int, PaneIds]) -> Changes:
        """The changes without the duplicates among their late events; call once for each capture, in order.

        `found` has what is known of the ids that were asked for; of a pane that is not in it none is known.
        """
        for pane in changes.closed:
            self._remember(pane.window_start_ms, PaneIds(on_time=pane.ids))
        epoch, looked_up = changes.progress.epoch, dict[int, PaneIds]()
        new = [event for event in changes.late if self._is_new(event, epoch, found, looked_up)]
        self._duplicates += len(changes.late) - len(new)
        self._shrink()
        progress = changes.progress
        counted = replace(
            progress,
            late=progress.late - self._duplicates,
            duplicates=progress.duplicates + self._duplicates,
        )
        return replace(changes, late=new, progress=counted)

    def _is_new(
        self, event: LateEvent, epoch: int, found: Mapping[int, PaneIds], looked_up: dict[int, PaneIds]
    ) -> bool:
        """`looked_up` are the panes of `found` with what this capture adds to them."""
        start_ms = event.window_start_ms
        cached = known = self._cache.get(start_ms)
        if known is not None:
            self._cache.move_to_end(start_ms)
        elif (known := looked_up.get(start_ms)) is None:
            ids = found.get(start_ms, PaneIds())
            known = looked_up[start_ms] = PaneIds(ids.on_time, dict(ids.late))
        if _holds(known.on_time, event.id):
            return False
        offset, index = event.position
        place = version_of(epoch, offset), index
        if event.id not in known.late:
            known.late[event.id] = place
            self._cached += LATE_WEIGHT if cached is not None else 0
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


def _holds(ids: Sequence[int], wanted: int) -> bool:
    at = bisect_left(ids, wanted)
    return at < len(ids) and ids[at] == wanted
