"""Cutting inserts: every row once, within what a server takes."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks import batches as module
from sinks.batches import MAX_MONTHS, MAX_ROWS, batches

DAY = 86_400


def months(seconds: list[int]) -> set[tuple[int, int]]:
    """The local months of these times: the partitions that they touch."""
    return {(t.tm_year, t.tm_mon) for t in (time.gmtime(s + 7 * 3600) for s in seconds)}


def test_a_usual_flush_is_one_insert_in_its_order() -> None:
    """Rows of one hour are not sorted, not copied."""
    assert [list(b) for b in batches([30, 10, 20])] == [[0, 1, 2]]


def test_nothing_is_no_insert() -> None:
    """An empty block would be an error on some servers."""
    assert list(batches([])) == []


def test_many_rows_are_cut() -> None:
    """At most MAX_ROWS in one insert, in order."""
    cut = list(batches([0] * (2 * MAX_ROWS + 1)))
    assert [len(b) for b in cut] == [MAX_ROWS, MAX_ROWS, 1]
    assert [i for b in cut for i in b] == list(range(2 * MAX_ROWS + 1))


def test_bytes_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row larger than the limit goes alone."""
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    assert [list(b) for b in batches([0] * 5, [4, 6, 1, 99, 3])] == [[0, 1], [2], [3], [4]]


@given(
    st.lists(st.integers(946_684_800, 4_102_444_800), max_size=400),
    st.sampled_from([1, 7, 100_000]),
)
def test_every_row_once_and_never_too_many_months(seconds: list[int], most_rows: int) -> None:
    """Times from 2000 to 2100 in any order: a partition of the rows, each part within all limits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_ROWS", most_rows)
        cut = [list(b) for b in batches(seconds)]
    assert sorted(i for b in cut for i in b) == list(range(len(seconds)))
    assert all(0 < len(b) <= most_rows for b in cut)
    assert all(len(months([seconds[i] for i in b])) <= MAX_MONTHS for b in cut)


def test_ten_years_need_few_inserts() -> None:
    """119 months in four: not one insert for each month, and none that takes long."""
    cut = list(batches([n * 30 * DAY for n in range(121)]))
    assert len(cut) == 4
