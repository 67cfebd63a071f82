"""Rows that the fold has packed, as the blocks of one insert."""

import struct
from collections.abc import Iterator, Sequence
from typing import cast

from sinks.batches import SHORT_S
from streams.core.packed import BY_WIDTH, NUMBERS, Layout, Packed
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
    layouts = [*_roomy(first)]
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
            yield [*block, _same(progress.pane_ms // 1000, count), _same(progress.partition, count)]


def _roomy(rows: Rows) -> Iterator[Layout]:
    """Layouts that hold any values of these columns, however narrow those of the rows are."""
    for n, column in enumerate(rows.columns):
        layout = cast(Packed, column).layout
        if layout is Layout.CODES:
            yield Layout.TEXT
        else:
            # the first are times
            yield Layout.U64 if n and layout in NUMBERS else layout


def _same(value: int, count: int) -> Packed:
    width = next(width for width in (1, 2, 4, 8) if not value >> 8 * width)
    return Packed(BY_WIDTH[width], count, value.to_bytes(width, "little") * count)
