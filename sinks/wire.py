"""Packed columns as the bytes of ClickHouse's Native format, for the columns that a server has."""

import struct
from collections.abc import Sequence
from dataclasses import replace

from streams.core.packed import Bytes, Layout, Packed

# the type of a column of the server -> the layout of its values
_NUMBERS = {
    "UInt8": Layout.U8,
    "UInt16": Layout.U16,
    "UInt32": Layout.U32,
    "UInt64": Layout.U64,
    "UInt128": Layout.U128,
}
_TYPES = {layout: kind for kind, layout in _NUMBERS.items()}
_WIDTHS = {layout: n for n, layout in enumerate(_NUMBERS.values())}

# (name, type, pieces of its bytes) of each column
Wire = list[tuple[str, str, tuple[Bytes, ...]]]
_STRINGS = ("String", "LowCardinality(String)")
_CODES_OF_A_BYTE, _HAS_WORDS, _NEW_WORDS = 0, 1 << 9, 1 << 10


def as_wire(
    wanted: Sequence[tuple[str, str]], columns: Sequence[Packed], *, casting: bool = True
) -> Wire | None:
    """The columns for the (name, type) pairs that the server wants; None where one has another type.

    `casting`: the server takes numbers narrower than its columns.
    """
    if len(wanted) != len(columns) or len({column.length for column in columns}) > 1:
        return None
    wire = []
    for (name, kind), column in zip(wanted, columns, strict=True):
        fitted = _fitted(kind, column, casting=casting)
        if fitted is None:
            return None
        wire.append((name, *fitted))
    return wire


def _fitted(kind: str, column: Packed, *, casting: bool) -> tuple[str, tuple[Bytes, ...]] | None:
    """The type to name on the wire, and the bytes; None: the column's type takes no such values."""
    layout = column.layout
    if is_time(kind):
        return (kind, (column.data,)) if layout is Layout.U32 else None
    if kind in _STRINGS and layout is Layout.TEXT:
        # the server makes the dictionary, as for clients that know of none
        return "String", (column.data,)
    if kind in _STRINGS and column.words is not None:
        return "LowCardinality(String)", _coded(column, column.words)
    if layout is Layout.I64:
        return (kind, (column.data,)) if kind == "Int64" or kind.startswith("DateTime64(3") else None
    is_list = kind.startswith("Array(") and layout is Layout.LISTS
    inner = kind.removeprefix("Array(").removesuffix(")") if is_list else kind
    has, want = column.element if is_list else layout, _NUMBERS.get(inner)
    if want is None or has not in _WIDTHS or _WIDTHS[has] > _WIDTHS[want]:
        return None
    if has is not want and not casting:
        return _fitted(kind, _as_wide(column, want), casting=True)
    sent = _TYPES[has]
    return (f"Array({sent})", (column.ends, column.data)) if is_list else (sent, (column.data,))


def _as_wide(column: Packed, layout: Layout) -> Packed:
    if column.layout is not Layout.LISTS:
        return Packed.of(layout, column.values)
    elements = Packed(column.element, len(column.data), column.data).values
    return replace(column, data=Packed.of(layout, elements).data, element=layout)


def _coded(column: Packed, words: Packed) -> tuple[Bytes, ...]:
    """Codes as ClickHouse's SerializationLowCardinality has them: the version, the words, the codes."""
    flags = _CODES_OF_A_BYTE | _HAS_WORDS | _NEW_WORDS
    return struct.pack("<QQQ", 1, flags, len(words)), words.data, struct.pack("<Q", len(column)), column.data


def is_time(kind: str) -> bool:
    """Whether a type is that of seconds since 1970."""
    return kind == "DateTime" or kind.startswith("DateTime(")
