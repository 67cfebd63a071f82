"""The parts that measures are made of: one table, which says how each is folded, sent, stored and merged.

The compiled fold has the same kinds, by these numbers (native/c/parts.h). Every part merges, in any order:
two rows of a window are one row of all their events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from operator import add
from types import MappingProxyType
from typing import Any

from streams.core.histogram import bucket
from streams.core.packed import Layout

# what a part holds of the values measured: a number, or a histogram (representative -> values in its bucket)
Held = Any


class PartKind(IntEnum):
    """What is kept of the values: how many, their sum, the highest (0 when there is none), a histogram.

    MAXIMUM and MINIMUM are of any whole numbers, and say when there was none: then they hold the number at
    the end of their range, which any other one outdoes.
    """

    COUNTED = 0
    SUMMED = 1
    HIGHEST = 2
    HISTOGRAM = 3
    MAXIMUM = 4
    MINIMUM = 5


@dataclass(frozen=True, slots=True)
class PartForm:
    """One kind of part: a row of the table.

    `nothing` makes what it holds of no value: it changes nothing that it is merged with. `add` puts a list of
    values in, which is not empty; `merge` makes one of two. Both may change the first of them.
    A part travels in `layout`: U64 as narrow as its numbers allow, U128 in that too until a sum needs more.
    `types` are those that each of its columns may have in ClickHouse, and `aggregate` is the function there
    that merges them.
    """

    nothing: Callable[[], Held]
    add: Callable[[Held, list[Any]], Held]
    merge: Callable[[Held, Held], Held]
    layout: Layout
    types: tuple[str, ...]
    aggregate: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a measure, with the names of its columns."""

    kind: PartKind
    columns: tuple[str, ...]

    @property
    def form(self) -> PartForm:
        """Its row of the table."""
        return FORMS[self.kind]


def columns_of(held: Held) -> tuple[Any, ...]:
    """What a part holds as the values of its columns: a histogram's buckets, ascending, and their weights."""
    if not isinstance(held, dict):
        return (held,)
    buckets = sorted(held)
    return buckets, [held[b] for b in buckets]


def held_in(columns: tuple[Any, ...]) -> Held:
    """What a part holds, of the values of its columns."""
    return columns[0] if len(columns) == 1 else dict(zip(*columns, strict=True))


def _add_buckets(held: dict[int, int], values: list[int]) -> dict[int, int]:
    for b in map(bucket, values):
        held[b] = held.get(b, 0) + 1
    return held


def _merge_buckets(held: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    for b, weight in other.items():
        held[b] = held.get(b, 0) + weight
    return held


_WHOLE = ("UInt64", "UInt128")
LEAST, MOST = -(2**63), 2**63 - 1

FORMS: Mapping[PartKind, PartForm] = MappingProxyType({
    PartKind.COUNTED: PartForm(
        nothing=int, add=lambda held, values: held + len(values), merge=add,
        layout=Layout.U64, types=_WHOLE, aggregate="sum",
    ),
    PartKind.SUMMED: PartForm(
        nothing=int, add=lambda held, values: held + sum(values), merge=add,
        layout=Layout.U128, types=_WHOLE, aggregate="sum",
    ),
    PartKind.HIGHEST: PartForm(
        nothing=int, add=lambda held, values: max(held, *values), merge=max,
        layout=Layout.U64, types=_WHOLE, aggregate="max",
    ),
    PartKind.HISTOGRAM: PartForm(
        nothing=dict, add=_add_buckets, merge=_merge_buckets,
        layout=Layout.LISTS, types=("Array(UInt64)",), aggregate="sumMap",
    ),
    PartKind.MAXIMUM: PartForm(
        nothing=lambda: LEAST, add=lambda held, values: max(held, *values), merge=max,
        layout=Layout.I64, types=("Int64",), aggregate="max",
    ),
    PartKind.MINIMUM: PartForm(
        nothing=lambda: MOST, add=lambda held, values: min(held, *values), merge=min,
        layout=Layout.I64, types=("Int64",), aggregate="min",
    ),
})  # fmt: skip
"""The table."""
