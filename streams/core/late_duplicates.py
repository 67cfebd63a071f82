"""Late events, told apart from their duplicates.

A late event's pane is closed, its ids are no longer in memory. Those of panes that this worker has closed
itself are remembered for a while; before a flush, the ids that came late to any other pane are looked up
together. What is found is a duplicate. An id that was first met late is known by its position: only a later
position is a duplicate, so that a replay of the first one is not.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streams.core.late import LateEvents, Position
from streams.core.values import Changes, PaneIds, version_of

# 8 bytes each: what all partitions of a worker may remember, and one of them at most
CACHED_IDS, CACHED_BY_ONE = 4_000_000, 1_000_000
# a pane itself, and an id in a set, take as much memory as so many ids on time
PANE_WEIGHT, LATE_WEIGHT = 60, 15


@dataclass(slots=True)
class _Pane:
    """What is known of a pane: sorted ids on time, late ids by where they stood first, and all others met.

    This worker meets a late id in the order of the log, so that of those in `met` any other is later.
    """

    on_time: Sequence[int] = ()
    first: Mapping[int, Position] = field(default_factory=dict)
    met: set[int] = field(default_factory=set)
    weight: int = 0


class LateDeduplicator:
    """The late events of one partition: knows recently closed panes, counts the duplicates it found."""

    __slots__ = ("_cache", "_cached", "_duplicates", "capacity")

    def __init__(self, capacity: int = CACHED_BY_ONE) -> None:
        self._cache: OrderedDict[int, _Pane] = OrderedDict()
        self._cached = 0
        self.capacity = capacity
        self._duplicates = 0

    def asked(self, changes: Changes) -> dict[int, "array[int]"]:
        """The ids that have to be looked up before `drop`, by their panes (window_start_ms)."""
        asked: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        for start_ms, late_id in zip(changes.late.starts_ms, changes.late.ids, strict=True):
            asked[start_ms].append(late_id)
        known = self._cache.keys() | {pane.window_start_ms for pane in changes.closed}
        return {start_ms: ids for start_ms, ids in asked.items() if start_ms not in known}

    def drop(self, changes: Changes, found: Mapping[int, PaneIds]) -> Changes:
        """The changes without the duplicates among their late events; call once for each capture, in order.

        `found` has what is known of the ids that were asked for; of a pane that is not in it none is known.
        """
        for pane in changes.closed:
            self._cache[pane.window_start_ms] = known = _Pane(pane.ids)
            self._weigh((known,))
        progress = changes.progress
        late = changes.late.select(self._new(changes.late, progress.epoch, found))
        self._duplicates += len(changes.late) - len(late)
        self._shrink()
        counted = replace(
            progress,
            late=progress.late - self._duplicates,
            duplicates=progress.duplicates + self._duplicates,
        )
        return replace(changes, late=late, progress=counted)

    def _new(self, late: LateEvents, epoch: int, found: Mapping[int, PaneIds]) -> bytearray:
        """A byte for each event: 1 where it is no duplicate."""
        panes, new = dict[int, _Pane](), bytearray()
        columns = (late.starts_ms, late.ids, late.offsets, late.indexes)
        for start_ms, late_id, offset, index in zip(*columns, strict=True):
            pane = panes.get(start_ms)
            if pane is None:
                pane = panes[start_ms] = self._pane(start_ms, found)
            if late_id in pane.met:
                new.append(0)
            elif late_id in pane.first:
                new.append((version_of(epoch, offset), index) <= pane.first[late_id])
            elif pane.on_time and _holds(pane.on_time, late_id):
                new.append(0)
            else:
                pane.met.add(late_id)
                new.append(1)
        self._weigh(panes[start_ms] for start_ms in self._cache.keys() & panes.keys())
        return new

    def _pane(self, start_ms: int, found: Mapping[int, PaneIds]) -> _Pane:
        """What is remembered of a pane, or else what was found of it, for this once."""
        cached = self._cache.get(start_ms)
        if cached is not None:
            self._cache.move_to_end(start_ms)
            return cached
        known = found.get(start_ms, PaneIds())
        # an id of both is a duplicate wherever it stands
        return _Pane(first=known.late, met=set(known.on_time))

    def _weigh(self, cached: Iterable[_Pane]) -> None:
        for pane in cached:
            weight = PANE_WEIGHT + len(pane.on_time) + LATE_WEIGHT * len(pane.met)
            self._cached += weight - pane.weight
            pane.weight = weight

    def _shrink(self) -> None:
        """Forget the panes that were not asked for longest."""
        while self._cache and self._cached > self.capacity:
            _, pane = self._cache.popitem(last=False)
            self._cached -= pane.weight


def _holds(ids: Sequence[int], wanted: int) -> bool:
    at = bisect_left(ids, wanted)
    return at < len(ids) and ids[at] == wanted
