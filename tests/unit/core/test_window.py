"""Panes and watermarks as tables."""

import pytest

from streams.core.rules import Rules, watermark
from streams.core.window import check_pane, pane_start


# 0        60 000     120 000
# [--------)[---------)
#         ^ 59 999    ^ 120 000 opens the next
@pytest.mark.parametrize(
    ("at_ms", "start"), [(0, 0), (59_999, 0), (60_000, 60_000), (119_999, 60_000), (120_000, 120_000)]
)
def test_a_pane_is_half_open(at_ms: int, start: int) -> None:
    """The end of a pane belongs to the next one."""
    assert pane_start(at_ms, 60_000) == start


@pytest.mark.parametrize("pane_ms", [0, -60_000, 500, 1500, 7_000, 7_200_000])
def test_a_pane_must_divide_the_hour(pane_ms: int) -> None:
    """Longer windows are sums of panes, so a pane has to divide them."""
    with pytest.raises(ValueError, match="does not divide an hour"):
        check_pane(pane_ms)


@pytest.mark.parametrize("rules", [{"disorder_ms": -1}, {"skew_ms": -1}, {"pane_ms": 61_000}])
def test_rules_check_themselves(rules: dict[str, int]) -> None:
    """A wrong rule fails when it is made, not when the first window closes."""
    with pytest.raises(ValueError, match=r"must be|does not divide"):
        Rules(**rules)


# event times seen  ----------------E        append times seen  --------A
# watermark = min(E, A) - disorder, never below 0
@pytest.mark.parametrize(
    ("event", "append", "disorder", "expected"),
    [(1000, 5000, 100, 900), (5000, 1000, 100, 900), (0, 0, 100, 0), (50, 50, 100, 0), (1000, 1000, 0, 1000)],
)
def test_the_append_time_bounds_the_watermark(event: int, append: int, disorder: int, expected: int) -> None:
    """A device whose clock runs fast can't close the panes of all others."""
    assert watermark(event, append, disorder) == expected
