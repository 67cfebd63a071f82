"""A fence around a stream's tables in memory: the twin of `sinks.fence` for tests."""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, cast

from sinks.memory import MemorySink, RowKey
from streams.core.rehoming import Edge
from streams.core.rows import Row
from streams.core.values import OFFSET_BITS
from streams.spec import StreamSpec

# behind any edge
MOST = 1 << OFFSET_BITS
# forgets one thing that is stored
Forget = Callable[[], object]


class MemoryFence:
    """A `streams.rehome.Fence` of one stream of a `MemorySink`."""

    def __init__(self, sink: MemorySink, spec: StreamSpec) -> None:
        self._sink, self._spec = sink, spec
        self._events = spec.columns.index("events")

    def height(self) -> int:
        """The epoch below which rows are refused; 0 where there is no fence."""
        return self._sink.fences.get(self._spec.topic, 0)

    def refuse_below(self, epoch: int) -> None:
        """Refuse rows of a lower epoch for good; nothing else is under way."""
        self._sink.fences[self._spec.topic] = epoch

    def behind(self, edges: Collection[Edge]) -> set[int]:
        """The partitions of which something is stored that lies behind their edge."""
        return {edge.partition for edge in edges if next(self._found(edge), None)}

    def forget(self, edge: Edge) -> None:
        """Delete what is stored behind an edge."""
        for forget in list(self._found(edge)):
            forget()

    def windows(self) -> tuple[int, int] | None:
        """The starts of the first and the last window that hold anything, in epoch milliseconds."""
        found = self._sink.rows(self._spec).values()
        starts = [cast(int, row[0]) * 1000 for row in found if row[self._events]]
        return (min(starts), max(starts)) if starts else None

    def _found(self, edge: Edge) -> Iterator[Forget]:
        """How to forget each thing behind an edge."""
        tables, place = self._sink.tables(self._spec), (self._spec.topic, edge.partition)
        yield from (
            partial(tables.rows.pop, key)
            for key, (version, row) in tables.rows.items()
            if key[-2] == edge.partition and self._is_behind(edge, key, version, row)
        )
        for pane, by_epoch in tables.panes.items():
            if pane[:2] == place and pane[2] + edge.pane_ms > edge.watermark_ms:
                yield from (partial(by_epoch.pop, epoch) for epoch in by_epoch if _in(edge, epoch))
        for pane, late in tables.late.items():
            if pane[:2] == place:
                yield from (
                    partial(late.pop, i) for i, (epoch, e) in late.items() if _in(edge, epoch, e.position[0])
                )
        sendings = tables.sendings.get(place, {})
        yield from (partial(sendings.pop, e) for e, at in sendings.items() if _in(edge, e, at - 1))
        letters: tuple[dict[Any, Any], ...] = (tables.dead.get(place, {}), tables.noted.get(place, {}))
        for kept in letters:
            yield from (partial(kept.pop, at) for at in kept if _in(edge, *at[:2]))

    def _is_behind(self, edge: Edge, key: RowKey, version: int, row: Row) -> bool:
        """Rows of panes that have closed, and of nothing over late events, are those of a rebuild."""
        start_s, seconds, late_id = (cast(int, part) for part in (key[0], key[1], key[-1]))
        epoch, offset = version >> OFFSET_BITS, version & ((1 << OFFSET_BITS) - 1)
        open_then = (start_s + seconds) * 1000 > edge.watermark_ms
        return _in(edge, epoch, offset) and bool(row[self._events] if late_id else open_then)


def _in(edge: Edge, epoch: int, offset: int = MOST) -> bool:
    low, high = edge.epochs
    return low <= epoch <= high and offset >= edge.offset
