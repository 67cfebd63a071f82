"""Histograms of integers with a bounded relative error."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.histogram import LARGEST, REPRESENTATIVES, UPPER_BOUNDS, bucket

values = st.integers(0, LARGEST)


@pytest.mark.parametrize("value", [0, 1, 2, 50, 99, 100])
def test_small_values_are_exact(value: int) -> None:
    """Up to 100 each value has a bucket of its own."""
    assert bucket(value) == value


@given(values)
def test_a_bucket_is_within_one_percent(value: int) -> None:
    """The representative stands for every value of its bucket."""
    assert abs(bucket(value) - value) <= value / 100


@given(values)
def test_a_representative_is_in_its_own_bucket(value: int) -> None:
    """Putting a representative in again changes nothing, so histograms can be rebuilt from stored ones."""
    assert bucket(bucket(value)) == bucket(value)


def test_buckets_ascend_without_gaps() -> None:
    """Every representative lies within its own bounds."""
    for i in range(1, len(UPPER_BOUNDS)):
        assert UPPER_BOUNDS[i - 1] < REPRESENTATIVES[i] <= UPPER_BOUNDS[i]


def test_values_beyond_the_largest_count_as_the_largest() -> None:
    """Nothing is dropped for being too large."""
    assert bucket(LARGEST * 10) == bucket(LARGEST)


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([0.0, 0.5, 0.85, 0.95, 1.0]))
def test_quantiles_follow_the_sorted_values(sample: list[int], q: float) -> None:
    """The nearest rank among the buckets is within 1 % of the nearest rank among the values themselves."""
    rank = max(1, math.ceil(q * len(sample))) - 1
    true = sorted(sample)[rank]
    assert abs(sorted(map(bucket, sample))[rank] - true) <= true / 100
