"""Columns as the bytes that travel to the store: what the compiled fold gives instead of lists of values.

Numbers are little-endian, one behind the other; a text is its length (a varint), then its UTF-8; a code is
the number of a text among a few; lists of numbers are where each one ends among all elements, then the
elements. ClickHouse calls this Native.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import accumulate, chain, compress
from typing import Any, overload

from streams.core.selection import lengths_of, of_elements, some_numbers, some_texts, text_length

Bytes = bytes | memoryview


class Layout(Enum):
    """What a packed column holds; of numbers the value is their format in `struct`."""

    U8 = "B"
    U16 = "H"
    U32 = "I"
    U64 = "Q"
    I64 = "q"
    U128 = "QQ"
    TEXT = "text"
    CODES = "codes"
    LISTS = "lists"


# those of numbers >= 0 of at most 64 bits, and each by its bytes
NUMBERS = (Layout.U8, Layout.U16, Layout.U32, Layout.U64)
# values made at once where a column is asked for all of them
UNPACKED = 1024
BY_WIDTH = {struct.calcsize(layout.value): layout for layout in NUMBERS}


@dataclass(frozen=True, eq=False)
class Packed(Sequence[Any]):
    """A column of `length` values; a sequence of them to whoever asks for values.

    `ends` are those of lists, as 64-bit numbers, and `element` is the layout of what is in them; `words` are
    the texts of codes of one byte, the first of them ''. `known` is each of the values once, where that is
    known.
    """

    layout: Layout
    length: int
    data: Bytes
    ends: Bytes = b""
    known: frozenset[Any] | None = None
    element: Layout = Layout.U64
    words: "Packed | None" = None

    @classmethod
    def of(cls, layout: Layout, values: Sequence[Any]) -> "Packed":
        """The values as a column; raises struct.error where the layout can't hold them."""
        count = len(values)
        if layout is Layout.TEXT:
            return cls(layout, count, b"".join(map(_text, values)))
        if layout is Layout.CODES:
            code = {text: n for n, text in enumerate(dict.fromkeys(["", *values]))}
            texts = cls.of(Layout.TEXT, [*code])
            return cls(layout, count, _numbers(Layout.U8, [code[text] for text in values]), words=texts)
        if layout is Layout.LISTS:
            elements, ends = [*chain.from_iterable(values)], [*accumulate(map(len, values))]
            return cls(layout, count, _numbers(Layout.U64, elements), _numbers(Layout.U64, ends))
        if layout is Layout.U128:
            words = [word for value in values for word in (value & (1 << 64) - 1, value >> 64)]
            return cls(layout, count, _numbers(Layout.U64, words))
        if layout is Layout.U64 and max(values, default=0) >> 64:
            return cls.of(Layout.U128, values)
        return cls(layout, count, _numbers(layout, values))

    @cached_property
    def values(self) -> list[Any]:
        """The column's values, unpacked when first asked for."""
        return [*self]

    @cached_property
    def distinct(self) -> frozenset[Any]:
        """Each value once."""
        if self.known is not None:
            return self.known
        if self.layout in NUMBERS:
            return frozenset(_distinct(self.layout, bytes(self.data)))
        return frozenset(self.values)

    def widened(self, high: Bytes) -> "Packed":
        """64-bit numbers as the low words of those of 128 bits, and the high ones."""
        words = array("Q", bytes(16 * self.length))
        words[::2] = array("Q", bytes(self.data))
        words[1::2] = array("Q", bytes(high))
        return Packed(Layout.U128, self.length, words.tobytes())

    def select(self, kept: bytes | bytearray) -> "Packed":
        """The values whose byte of `kept` is 1 and not 0, without making values of them."""
        count, ends = kept.count(1), self.ends
        match self.layout:
            case Layout.TEXT:
                data = some_texts(bytes(self.data), kept)
            case Layout.LISTS:
                lengths = lengths_of(self.ends)
                data = some_numbers(self.element.value, self.data, of_elements(kept, lengths))
                ends = _numbers(Layout.U64, [*accumulate(compress(lengths, kept))])
            case Layout.U128:
                twice = bytearray(2 * len(kept))
                twice[::2] = twice[1::2] = kept
                data = some_numbers("Q", self.data, twice)
            case layout:
                data = some_numbers("B" if self.words is not None else layout.value, self.data, kept)
        return replace(self, length=count, data=data, ends=ends, known=None)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        """One by one: all of them take ten times as much as Python's values."""
        if self.layout is Layout.TEXT:
            return _texts(bytes(self.data))
        if self.words is not None:
            return map(self.words.values.__getitem__, self.data)
        if self.layout is Layout.LISTS:
            return _lists(self)
        if self.layout is Layout.U128:
            return (low | high << 64 for low, high in struct.iter_unpack("<QQ", self.data))
        size = UNPACKED * struct.calcsize(self.layout.value)
        pieces = (self.data[at : at + size] for at in range(0, len(self.data), size))
        return chain.from_iterable(_unpacked(self.layout, piece) for piece in pieces)

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> list[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return self.values[at]

    def __eq__(self, other: object) -> bool:
        """Columns of the same values are the same, packed or not."""
        return isinstance(other, Sequence) and self.values == [*other]

    __hash__ = None  # type: ignore[assignment]  # as a list's


def selected(column: Sequence[Any], kept: bytes | bytearray) -> Sequence[Any]:
    """The values of any column whose byte of `kept` is 1 and not 0; what is packed remains so."""
    return column.select(kept) if isinstance(column, Packed) else [*compress(column, kept)]


def _numbers(layout: Layout, values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}{layout.value}", *values)


def _distinct(layout: Layout, data: bytes) -> set[int]:
    """By halves: many rows have the same number, and comparing bytes costs less than unpacking them."""
    size = struct.calcsize(layout.value)
    number = len(data) // size
    if number < 64 or data == data[:size] * number:
        return {*_unpacked(layout, data[: 64 * size])}
    half = number // 2 * size
    return _distinct(layout, data[:half]) | _distinct(layout, data[half:])


def _lists(column: Packed) -> Iterator[list[int]]:
    size, start = struct.calcsize(column.element.value), 0
    for (end,) in struct.iter_unpack("<Q", column.ends):
        yield [*_unpacked(column.element, column.data[start * size : end * size])]
        start = end


def _unpacked(layout: Layout, data: Bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // struct.calcsize(layout.value)}{layout.value}", data)


def _text(value: str) -> bytes:
    text = value.encode()
    length, size = len(text), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    size.append(length)
    return bytes(size) + text


def _texts(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        length, begin = (data[at], at + 1) if data[at] < 128 else text_length(data, at)
        at = begin + length
        yield data[begin:at].decode()
