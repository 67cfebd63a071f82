"""Rows of windows by columns."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from streams.core.packed import Packed

# A window row in the order of `StreamSpec.columns`:
# (window_start in epoch seconds, *dimensions, late_id, version, events, *measure columns)
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Window rows by columns, as they travel to the store; a sequence of `Row` to all others.

    `columns` are in the order of `StreamSpec.columns`, or none where there are no rows: lists, or `Packed`.
    """

    columns: Sequence[Sequence[object]] = ()

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Rows":
        """The same rows by columns."""
        return cls(tuple(map(list, zip(*rows, strict=True))))

    @property
    def packed(self) -> bool:
        """Whether all columns are `Packed`, as those of the compiled fold are."""
        return all(isinstance(column, Packed) for column in self.columns)

    @property
    def starts(self) -> Collection[int]:
        """The starts of the rows' windows in epoch seconds, each once."""
        column = self.columns[0] if self.columns else ()
        return column.distinct if isinstance(column, Packed) else set(cast(Sequence[int], column))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.columns[0]) if self.columns else 0

    def __iter__(self) -> Iterator[Row]:
        """Row by row."""
        return zip(*self.columns, strict=True)
