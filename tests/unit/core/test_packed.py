"""Packed columns hold what was put into them."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.packed import Layout, Packed
from streams.core.values import Rows

WORD = 2**64 - 1
VALUES: dict[Layout, st.SearchStrategy[Any]] = {
    Layout.U16: st.integers(0, 2**16 - 1),
    Layout.U32: st.integers(0, 2**32 - 1),
    Layout.U64: st.integers(0, WORD),
    Layout.U128: st.integers(0, 2**128 - 1),
    Layout.TEXT: st.text(max_size=20) | st.integers(120, 140).map("ư".__mul__),
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
    assert Packed(packed.layout, packed.length, memoryview(packed.data), memoryview(packed.ends)) == column


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
    assert (narrow.widened().layout, narrow.widened()) == (Layout.U128, [1, WORD])


@pytest.mark.parametrize(
    ("layout", "value"), [(Layout.U16, 2**16), (Layout.U64, -1), (Layout.U128, -1), (Layout.U128, 2**128)]
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
