"""The late events that wait in fold.c, as packed columns."""

from array import array
from ctypes import string_at
from typing import Any

from streams.core.late import LateEvents
from streams.core.packed import Layout, Packed
from streams.native.library import (
    LATE_APPEND,
    LATE_COLUMNS,
    LATE_ID,
    LATE_INDEX,
    LATE_OCCURRED,
    LATE_OFFSET,
    LATE_START,
    Library,
)
from streams.native.rows import take_rows
from streams.spec import StreamSpec

# what one weighs from when it is captured until it is stored, beside its row and its id's text: its columns,
# and what telling duplicates apart takes
LATE_BYTES = 300


def take_late(library: Library, state: Any, spec: StreamSpec, count: int, epoch: int) -> LateEvents:
    """The `count` late events that wait in a state; they stay there."""
    if not count:
        return LateEvents()
    addresses = array("Q", bytes(8 * (LATE_COLUMNS + 1)))
    texts = library.late(state, addresses.buffer_info()[0])

    def column(place: int, layout: Layout) -> Packed:
        return Packed(layout, count, string_at(addresses[place], 8 * count))

    ids = column(LATE_ID, Layout.U64)
    return LateEvents(
        starts_ms=column(LATE_START, Layout.I64),
        ids=ids,
        event_ids=Packed(Layout.TEXT, count, string_at(addresses[LATE_COLUMNS], texts)),
        occurred_ms=column(LATE_OCCURRED, Layout.I64),
        append_ms=column(LATE_APPEND, Layout.I64),
        offsets=column(LATE_OFFSET, Layout.U64),
        # an event is one of at most a few thousand
        indexes=Packed.of(Layout.U32, column(LATE_INDEX, Layout.U64)),
        rows=take_rows(library, state, spec, count, epoch, ids),
    )
