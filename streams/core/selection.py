"""Some of the values of a packed column, without making Python's values of them: see `streams.core.packed`.

`kept` has a byte for each value: 1 to keep it, else 0.
"""

import struct
from array import array
from collections.abc import Sequence
from itertools import chain, compress
from operator import mul, sub
from typing import Any


def _words(form: Any, data: bytes | memoryview) -> "memoryview[int]":
    """The numbers in it as they are in memory, which is all the same to whoever writes them back."""
    return memoryview(data).cast("B").cast(form)


def some_numbers(form: str, data: bytes | memoryview, kept: bytes | bytearray) -> bytes:
    """Those of numbers whose format in `struct` is this."""
    first = bytes(data[: struct.calcsize(form)])
    # as many columns are: comparing bytes costs next to nothing
    if data == first * len(kept):
        return first * kept.count(1)
    some = compress(_words(form, data), kept)
    return bytes(some) if form == "B" else array(form, some).tobytes()


def lengths_of(ends: bytes | memoryview) -> list[int]:
    """How many elements each list has, given where each ends among all of them."""
    numbers = struct.unpack(f"<{len(ends) // 8}Q", ends)
    return [*map(sub, numbers, chain((0,), numbers))]


def of_elements(kept: bytes | bytearray, lengths: Sequence[int]) -> bytes:
    """Whether to keep each element of lists, given whether to keep each list."""
    if max(lengths, default=0) <= 1:
        return bytes(compress(kept, lengths))
    return b"".join(map(mul, map((b"\0", b"\1").__getitem__, kept), lengths))


def some_texts(data: bytes, kept: bytes | bytearray) -> bytes:
    """Those of texts; what stands behind each other is cut out in one piece."""
    pieces, begin, at, before = list[bytes](), 0, 0, 0
    for keep in kept:
        if keep != before:
            if before:
                pieces.append(data[begin:at])
            begin, before = at, keep
        length, at = (data[at], at + 1) if data[at] < 128 else text_length(data, at)
        at += length
    if before:
        pieces.append(data[begin:at])
    return b"".join(pieces)


def text_length(data: bytes, at: int) -> tuple[int, int]:
    """The length that a text begins with, and where the text itself does."""
    length = shift = 0
    while (byte := data[at]) > 127:
        length |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
    return length | byte << shift, at + 1
