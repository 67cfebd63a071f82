"""What a long run says of growth."""

import os

import pytest

from tests.chaos.process import open_files, rss_mb
from tests.chaos.vitals import READY, trend, trends

MB = "MB of worker"


@pytest.mark.parametrize(
    ("values", "grew"),
    [
        ([100.0] * 8, None),
        ([100.0] * 9, False),
        ([100.0, 100, 100, 900, 900, 900, 110, 100, 120], False),
        ([100.0, 100, 100, 120, 140, 150, 160, 170, 180], True),
        ([10.0, 10, 10, 20, 20, 20, 40, 40, 40], False),
    ],
    ids=["too short", "flat", "a peak is no growth", "growth", "less than noise"],
)
def test_growth_is_the_last_third_against_the_first(values: list[float], grew: bool | None) -> None:
    """By medians, with room for noise."""
    assert trend(MB, values).grew is grew


def test_first_last_and_most_are_kept() -> None:
    """As they were seen."""
    seen = trend(MB, [3.0, 9.0, 4.0])
    assert (seen.first, seen.last, seen.most, seen.values) == (3.0, 4.0, 9.0, 3)


def test_samples_become_series_by_name() -> None:
    """A table that comes later has a shorter one; starts are counted beside them."""
    found = trends([{"minute": 0, MB: 1}, {"minute": 1, MB: 2, "parts of progress": 7}], [0.5])
    assert {name: t.values for name, t in found.items()} == {MB: 2, "parts of progress": 1, READY: 1}


def test_this_process_has_memory_and_files() -> None:
    """And one that is not there has none to tell."""
    assert rss_mb(os.getpid()) > 1
    assert open_files(os.getpid()) > 2
    with pytest.raises(OSError):  # noqa: PT011 # whichever it is
        rss_mb(-1)
