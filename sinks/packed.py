"""Rows that the fold has packed, as the blocks of one insert."""

import struct
from collections.abc import Iterator, Sequence
from typing import cast

from sinks.batches import SHORT_S
from streams.core.packed import Layout, Packed
from streams.core.values import Changes, Rows

# the columns of some rows
Block = Sequence[Packed]

# rows of one insert, unless a single partition has more
MAX_PACKED = 250_000


def inserts(changes: Sequence[Changes]) -> Iterator[list[Changes]]:
    """The changes of each insert."""
    group: list[Changes] = []
    rows = 0
    for c in changes:
        more = len(c.rows) + len(c.late)
        if group and rows + more > MAX_PACKED:
            yield group
            group, rows = [], 0
        group.append(c)
        rows += more
    if group:
        yield group


def packed_blocks(changes: Sequence[Changes]) -> list[Block] | None:
    """The rows of each of them: columns in the order of `Rows`, then window_seconds and partition.

    None where lists do: rows that are not packed or can't be, or of too many months.
    """
    first = next((c.rows for c in changes if c.rows), Rows())
    if not first or not all(c.rows.packed for c in changes):
        return None
    layouts = [cast(Packed, column).layout for column in first.columns]
    try:
        blocks: list[Block] = [block for c in changes for block in _blocks(c, layouts)]
    except (struct.error, UnicodeError):
        return None
    starts = frozenset[int]().union(*(block[0].distinct for block in blocks))
    if max(starts) - min(starts) > SHORT_S:
        return None
    return blocks


def _blocks(changes: Changes, layouts: Sequence[Layout]) -> Iterator[Block]:
    """The rows, and the late events' own."""
    progress = changes.progress
    late = zip(*(event.row for event in changes.late), strict=True)
    columns = [Packed.of(layout, column) for layout, column in zip(layouts, late, strict=False)]
    for block in (cast(Sequence[Packed], changes.rows.columns), columns):
        if block:
            count = len(block[0])
            seconds = _same(Layout.U32, 4, progress.pane_ms // 1000, count)
            yield [*block, seconds, _same(Layout.U16, 2, progress.partition, count)]


def _same(layout: Layout, size: int, value: int, count: int) -> Packed:
    return Packed(layout, count, value.to_bytes(size, "little") * count)
