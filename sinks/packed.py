"""Rows and late events that the fold has packed, as the blocks of one insert."""

from collections.abc import Iterator, Sequence
from typing import cast

from sinks.batches import SHORT_S
from streams.core.late import LateEvents
from streams.core.packed import BY_WIDTH, Layout, Packed
from streams.core.rows import Rows
from streams.core.values import Changes, Progress
from streams.spec import StreamSpec

# the columns of some rows
Block = Sequence[Packed]

# those of late_events
LATE_COLUMNS = (
    "stream", "topic", "partition", "window_start", "id", "event_id", "occurred_at", "append_time", "epoch",
    "offset", "index",
)  # fmt: skip
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
    """The rows of each of them and of their late events: those of `Rows`, then window_seconds and partition.

    None where lists do: rows that are not packed or can't be, or of too many months.
    """
    some = [(c.progress, rows) for c in changes for rows in (c.rows, c.late.rows) if rows]
    if not _can_be_packed([rows for _, rows in some]):
        return None
    return [
        [*_columns(rows), _same(at.pane_ms // 1000, len(rows)), _same(at.partition, len(rows))]
        for at, rows in some
    ]


def late_blocks(spec: StreamSpec, changes: Sequence[Changes]) -> list[Block] | None:
    """What registers the late events of each of them, in the order of `LATE_COLUMNS`; None where lists do."""
    some = [c for c in changes if c.late]
    if not _can_be_packed([c.late.rows for c in some]):
        return None
    return [[*_registered(spec, c.progress, c.late)] for c in some]


def _can_be_packed(some: Sequence[Rows]) -> bool:
    if not some or not all(rows.packed for rows in some):
        return False
    starts = frozenset[int]().union(*(rows.starts for rows in some))
    return max(starts) - min(starts) <= SHORT_S


def _registered(spec: StreamSpec, at: Progress, late: LateEvents) -> Iterator[Packed]:
    count = len(late)
    _, ids, event_ids, occurred_ms, append_ms, offsets, indexes = cast(Sequence[Packed], late.columns)
    yield _same_text(spec.name, count)
    yield _same_text(spec.topic, count)
    yield _same(at.partition, count)
    yield _columns(late.rows)[0]
    yield from (ids, event_ids, occurred_ms, append_ms)
    yield _same(at.epoch, count)
    yield from (offsets, indexes)


def _columns(rows: Rows) -> Block:
    return cast(Sequence[Packed], rows.columns)


def _same_text(text: str, count: int) -> Packed:
    return Packed(Layout.CODES, count, b"\1" * count, words=Packed.of(Layout.TEXT, ["", text]))


def _same(value: int, count: int) -> Packed:
    width = next(width for width in (1, 2, 4, 8) if not value >> 8 * width)
    return Packed(BY_WIDTH[width], count, value.to_bytes(width, "little") * count)
