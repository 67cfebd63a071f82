"""The rows that wait in fold.c as packed columns: a tenth of what making Python's values of them costs."""

import struct
from array import array
from collections.abc import Iterator, Sequence
from ctypes import addressof, byref, c_char, c_int64, c_void_p, string_at
from itertools import accumulate
from typing import Any

from streams.core.packed import BY_WIDTH, Bytes, Layout, Packed
from streams.core.rows import Rows
from streams.core.values import OFFSET_BITS
from streams.native.library import Library
from streams.spec import StreamSpec

# more starts of windows than this among the rows of a flush are found in the rows
FEW_STARTS = 256
# bytes behind a column that songlo_rows may write: NEAR_BUCKETS words
SPARE = 24


def take_rows(
    library: Library, state: Any, spec: StreamSpec, count: int, epoch: int, late_ids: Packed | None = None
) -> Rows:
    """The `count` rows that wait in a state, in the order of `StreamSpec.columns`; they stay there.

    With the ids of the late events those of late events.
    """
    if not count:
        return Rows()
    late = late_ids is not None
    layouts = [part.form.layout for part in spec.parts]
    sizes = array("q", bytes(8 * (len(spec.dimensions) + layouts.count(Layout.LISTS))))
    library.sizes(state, late, sizes.buffer_info()[0])
    texts, buckets = sizes[: len(spec.dimensions)], iter(sizes[len(spec.dimensions) :])
    room = [4 * count, *(size or count for size in texts), 8 * count, 8 * count]
    for layout in layouts:
        room += [8 * count, *([8 * next(buckets)] * 2 if layout is Layout.LISTS else ())]
    # one piece of memory for all, and no copies of it; each column begins at a whole word, with room for
    # what is written behind it
    *places, end = accumulate((-(-size // 8) * 8 + SPARE for size in room), initial=0)
    block = bytearray(end)
    begin = addressof(c_char.from_buffer(block))
    view, used = memoryview(block).toreadonly(), array("q", bytes(8 * len(room)))
    addresses = array("Q", [begin + place for place in places])
    first = epoch << OFFSET_BITS
    wide = library.rows(state, late, first, addresses.buffer_info()[0], used.buffer_info()[0])
    highs = iter(_highs(library, state, late, layouts.count(Layout.U128), count) if wide else ())
    pieces = (view[place : place + size] for place, size in zip(places, used, strict=True))
    starts = Packed(Layout.U32, count, next(pieces), known=None if late else _starts(library, state))
    names = [_texts(library, state, d, count, next(pieces), coded=not size) for d, size in enumerate(texts)]
    totals: list[Sequence[Any]] = [late_ids or Packed(Layout.U8, count, bytes(count))]
    totals += (_numbers(count, next(pieces)), _numbers(count, next(pieces)))
    for layout in layouts:
        totals += _part(layout, count, pieces, highs)
    return Rows((starts, *names, *totals))


def _numbers(count: int, data: memoryview) -> Packed:
    return Packed(BY_WIDTH[len(data) // count], count, data)


def _texts(library: Library, state: Any, dimension: int, count: int, data: Bytes, *, coded: bool) -> Packed:
    """A dimension's texts, or their numbers among those that the dimension has had."""
    if not coded:
        return Packed(Layout.TEXT, count, data)
    packed, size = c_void_p(), c_int64()
    number = library.words(state, dimension, byref(packed), byref(size))
    words = Packed(Layout.TEXT, number, string_at(packed, size.value))
    return Packed(Layout.CODES, count, data, words=words)


def _part(
    layout: Layout, count: int, pieces: Iterator[memoryview], highs: Iterator["array[int]"]
) -> Iterator[Sequence[Any]]:
    """The columns of a part."""
    piece = next(pieces)
    match layout:
        case Layout.U64:
            yield _numbers(count, piece)
        case Layout.U128:
            yield _sums(_numbers(count, piece), next(highs, None))
        case Layout.LISTS:
            (elements,) = struct.unpack("<Q", piece[-8:])
            for data in (next(pieces), next(pieces)):
                element = BY_WIDTH[len(data) // elements if elements else 1]
                yield Packed(layout, count, data, piece, element=element)
        case _:
            yield Packed(layout, count, piece)


def _starts(library: Library, state: Any) -> frozenset[int] | None:
    """The starts of the waiting rows' windows in epoch seconds, unless they are many."""
    found = array("I", bytes(4 * FEW_STARTS))
    number = library.starts(state, found.buffer_info()[0], FEW_STARTS)
    return None if number < 0 else frozenset(found[:number])


def _highs(library: Library, state: Any, late: bool, sums: int, count: int) -> list["array[int]"]:
    """The high words of so many sums over the rows."""
    columns = [array("q", bytes(8 * count)) for _ in range(sums)]
    addresses = array("Q", [column.buffer_info()[0] for column in columns])
    library.highs(state, late, addresses.buffer_info()[0])
    return columns


def _sums(low: Packed, high: "array[int] | None") -> Sequence[int]:
    """128-bit sums, in two's complement; packed unless one is below zero, which no column of the store is."""
    if high is None or not any(high):
        return low
    if min(high) < 0:
        return [(h << 64) + w for h, w in zip(high, low, strict=True)]
    return low.widened(high.tobytes())
