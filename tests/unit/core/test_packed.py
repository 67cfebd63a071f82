"""Packed columns hold what was put into them."""

import struct
from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.packed import Layout, Packed
from streams.core.rows import Rows

WORD = 2**64 - 1
VALUES: dict[Layout, st.SearchStrategy[Any]] = {
    Layout.U8: st.integers(0, 2**8 - 1),
    Layout.U16: st.integers(0, 2**16 - 1),
    Layout.U32: st.integers(0, 2**32 - 1),
    Layout.U64: st.integers(0, WORD),
    Layout.U128: st.integers(0, 2**128 - 1),
    Layout.TEXT: st.text(max_size=20) | st.integers(120, 140).map("ư".__mul__),
    Layout.CODES: st.sampled_from(["", "car", "xe máy", "ư" * 70]),
    Layout.LISTS: st.lists(st.integers(0, WORD), max_size=5),
}
COLUMNS = st.sampled_from(list(VALUES)).flatmap(
    lambda layout: st.tuples(st.just(layout), st.lists(VALUES[layout]))
)


@given(COLUMNS)
def test_what_was_packed_comes_out(case: tuple[Layout, list[Any]]) -> None:
    """All values of a column, also where its bytes are a piece of others."""
    layout, column = case
    packed = Packed.of(layout, column)
    assert packed == column
    assert len(packed) == len(column)
    assert replace(packed, data=memoryview(packed.data), ends=memoryview(packed.ends)) == column
    if layout is not Layout.LISTS:
        assert packed.distinct == {*column}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=6))
def test_distinct_numbers_are_found_in_long_columns(runs: list[tuple[int, int]]) -> None:
    """Rows of the same window stand together; they are looked through by halves."""
    column = [number for number, times in runs for _ in range(times)]
    assert Packed.of(Layout.U32, column).distinct == {*column}


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 40_000])
def test_texts_of_any_length(length: int) -> None:
    """Where the length takes one more byte."""
    texts = ["a" * length, "", "đ", "b" * length]
    assert Packed.of(Layout.TEXT, texts) == texts


def test_sums_that_outgrow_64_bits_are_wide() -> None:
    """One partition's sums may need 128 bits; another's can be made as wide."""
    narrow, wide = Packed.of(Layout.U64, [1, WORD]), Packed.of(Layout.U64, [2, WORD + 1])
    assert (narrow.layout, wide.layout) == (Layout.U64, Layout.U128)
    widened = narrow.widened(array("Q", [0, 3]).tobytes())
    assert (widened.layout, widened) == (Layout.U128, [1, 3 << 64 | WORD])


def test_lists_of_narrow_numbers() -> None:
    """|a few| of them, or none in a row."""
    wide = Packed.of(Layout.LISTS, [[1, 255], [], [7]])
    narrow = replace(wide, data=bytes([1, 255, 7]), element=Layout.U8)
    assert narrow == wide == [[1, 255], [], [7]]


def test_more_texts_than_codes_are_refused() -> None:
    """'' has one of the 256 numbers."""
    texts = [str(n) for n in range(255)]
    assert Packed.of(Layout.CODES, texts) == texts
    with pytest.raises(struct.error):
        Packed.of(Layout.CODES, [*texts, "one more"])


@pytest.mark.parametrize(
    ("layout", "value"),
    [(Layout.U8, 2**8), (Layout.U16, 2**16), (Layout.U64, -1), (Layout.U128, -1), (Layout.U128, 2**128)],
)
def test_what_does_not_fit_is_refused(layout: Layout, value: int) -> None:
    """Nothing wraps."""
    with pytest.raises(struct.error):
        Packed.of(layout, [value])


def test_packed_rows_are_rows() -> None:
    """Whoever asks for rows gets them, packed or not."""
    lists = Rows(([60, 0, 60], ["a", "", "b"]))
    packed = Rows((Packed.of(Layout.U32, [60, 0, 60]), Packed.of(Layout.TEXT, ["a", "", "b"])))
    assert (lists.packed, packed.packed) == (False, True)
    assert lists == packed
    assert [*lists] == [*packed] == [(60, "a"), (0, ""), (60, "b")]
    assert len(lists) == len(packed) == 3
    assert {*lists.starts} == {*packed.starts} == {0, 60}


@given(COLUMNS, st.data())
def test_some_values_are_what_packing_them_would_give(
    case: tuple[Layout, list[Any]], data: st.DataObject
) -> None:
    """Byte for byte, but for codes, which keep their words; also where all values are the same."""
    layout, column = case
    column = data.draw(st.sampled_from([column, column[:1] * len(column)]))
    kept = bytes(data.draw(st.lists(st.integers(0, 1), min_size=len(column), max_size=len(column))))
    some = Packed.of(layout, column).select(kept)
    expected = Packed.of(layout, [value for value, keep in zip(column, kept, strict=True) if keep])
    assert (some, len(some)) == (expected, len(expected))
    if layout is not Layout.CODES:
        assert (some.data, some.ends) == (expected.data, expected.ends)


def test_some_lists_of_narrow_numbers() -> None:
    """Elements are as wide as the largest of them."""
    lists = Packed(
        Layout.LISTS, 3, struct.pack("<4H", 7, 8, 9, 500), struct.pack("<3Q", 1, 3, 4), element=Layout.U16
    )
    assert lists.select(b"\0\1\1") == [[8, 9], [500]]
    assert lists.select(b"\1\0\0") == [[7]]
