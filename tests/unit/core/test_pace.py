"""How soon the next flush may start, as a table."""

import pytest

from streams.core.late import LateEvent, LateEvents
from streams.core.pace import MONTH_S, Pace, pace, parts
from streams.core.rows import Rows
from streams.core.values import Changes, Progress

AT = Progress("camera", "camera.events", 0)


@pytest.mark.parametrize(
    ("asked_s", "took_s", "made", "expected"),
    [
        pytest.param(1, 0, 0, Pace(1, 0), id="at the start"),
        pytest.param(1, 0.2, 1, Pace(1, 0.1), id="the present month, a quick store"),
        pytest.param(0.1, 0.03, 1, Pace(0.1, 0.1), id="ten flushes a second"),
        pytest.param(0.1, 0.2, 1, Pace(0.4, 0.1), id="a store that takes longer than was asked for"),
        pytest.param(1, 0.9, 1, Pace(1.8, 0.1), id="a slow store is busy half of the time"),
        pytest.param(1, 600, 1, Pace(10, 0.1), id="a store that was away"),
        pytest.param(1, 0.5, 36, Pace(3.6, 3.6), id="three years at once, a backfill"),
        pytest.param(1, 0.5, 500, Pace(10, 10), id="never more than the bound"),
        pytest.param(30, 600, 500, Pace(30, 30), id="unless more was asked for"),
    ],
)
def test_pace(asked_s: float, took_s: float, made: int, expected: Pace) -> None:
    """From start to start, with a bound of ten seconds."""
    assert pace(asked_s, 10, took_s, made) == expected


def test_parts_are_the_months_of_rows_and_late_events() -> None:
    """Rows of several partitions go into one insert."""
    late = LateEvent(7 * MONTH_S * 1000, 1, "e", 0, 0, (0, 0), (7 * MONTH_S,))
    here = Changes(AT, Rows.of([(0,), (60,), (MONTH_S,)]), [], LateEvents.of([late]), [])
    there = Changes(AT, Rows.of([(120,), (2 * MONTH_S,)]), [], LateEvents(), [])
    assert parts([here, there]) == 4
    assert parts([Changes(AT, Rows(), [], LateEvents(), [])]) == 0
