"""Packed columns hold what was put into them, alone and joined."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.packed import Layout, Packed, joined
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
    lambda layout: st.tuples(st.just(layout), st.lists(st.lists(VALUES[layout]), min_size=1, max_size=4))
)


@given(COLUMNS)
def test_what_was_packed_comes_out(case: tuple[Layout, list[list[Any]]]) -> None:
    """Each column's values, and those of all columns one behind the other."""
    layout, columns = case
    packed = [Packed.of(layout, column) for column in columns]
    assert packed == columns
    whole = joined(packed)
    assert whole == [value for column in columns for value in column]
    assert len(whole) == sum(map(len, columns))


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 40_000])
def test_texts_of_any_length(length: int) -> None:
    """Where the length takes one more byte."""
    texts = ["a" * length, "", "đ", "b" * length]
    assert Packed.of(Layout.TEXT, texts) == texts


def test_sums_that_outgrow_64_bits_widen_those_beside_them() -> None:
    """One partition's sums may need 128 bits, another's not."""
    narrow, wide = Packed.of(Layout.U64, [1, WORD]), Packed.of(Layout.U64, [2, WORD + 1])
    assert (narrow.layout, wide.layout) == (Layout.U64, Layout.U128)
    assert joined([narrow, wide]) == [1, WORD, 2, WORD + 1]


@pytest.mark.parametrize(
    ("layout", "value"), [(Layout.U16, 2**16), (Layout.U64, -1), (Layout.U128, -1), (Layout.U128, 2**128)]
)
def test_what_does_not_fit_is_refused(layout: Layout, value: int) -> None:
    """Nothing wraps."""
    with pytest.raises(struct.error):
        Packed.of(layout, [value])


def test_columns_of_two_kinds_do_not_join() -> None:
    """Their bytes would be taken for something else."""
    with pytest.raises(ValueError, match="different layouts"):
        joined([Packed.of(Layout.U32, [1]), Packed.of(Layout.TEXT, ["a"])])


def test_packed_rows_are_rows() -> None:
    """Whoever asks for rows gets them, packed or not."""
    lists = Rows(([60, 0, 60], ["a", "", "b"]))
    packed = Rows((Packed.of(Layout.U32, [60, 0, 60]), Packed.of(Layout.TEXT, ["a", "", "b"])))
    assert (lists.packed, packed.packed) == (False, True)
    assert lists == packed
    assert [*lists] == [*packed] == [(60, "a"), (0, ""), (60, "b")]
    assert len(lists) == len(packed) == 3
    assert {*lists.starts} == {*packed.starts} == {0, 60}
