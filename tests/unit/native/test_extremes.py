"""The greatest and the least of a field, in both engines, against Python's own max and min."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.core.parts import LEAST, MOST
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress
from tests.support.engines import native
from tests.support.events import T0_MS, message, packed
from tests.support.odd import PARKING

ORIGIN = Progress(PARKING.name, PARKING.topic, 0)
CAR = st.tuples(
    st.integers(-(10**9), 10**9 - 1),
    st.none() | st.integers(1, 50),
    st.sampled_from(["north", "south"]),
    st.booleans(),
)
"""What it pays, how low it is, which way it comes, and whether a flush comes behind it."""


def car(number: int, change: int, low: int | None, gate: str) -> bytes:
    """A message; `high` is above any `low`."""
    event: dict[str, Any] = {
        "event_id": f"e{number}", "occurred_at": T0_MS, "ward_code": "w", "change": change, "high": None,
        "gate": gate,
    }  # fmt: skip
    return message(event if low is None else {**event, "low": low})


@given(cars=st.lists(CAR, min_size=1, max_size=12))
def test_extremes_of_each_row(cars: list[tuple[int, int | None, str, bool]]) -> None:
    """Below zero too, where events have no value, and over flushes between them; of none an end of Int64."""
    states = PlainFold(PARKING, Rules(), ORIGIN), native(PARKING, Rules(), ORIGIN)
    found: list[dict[str, dict[str, Any]]] = [{}, {}]
    for number, (change, low, gate, flushed) in enumerate(cars):
        for state, rows in zip(states, found, strict=True):
            state.fold(packed(number, number + 1, T0_MS, [car(number, change, low, gate)]))
            if (flushed or number == len(cars) - 1) and (changes := state.capture()):
                named = (dict(zip(PARKING.columns, row, strict=True)) for row in changes.rows)
                rows.update({row["gate"]: row for row in named})
    assert found[0] == found[1]
    for gate, row in found[1].items():
        changes_of = [change for change, _, of, _ in cars if of == gate]
        lows = [low for _, low, of, _ in cars if of == gate == "north" and low is not None]
        assert (row["change_max"], row["change_min"]) == (max(changes_of), min(changes_of))
        assert row["low_min"] == min(lows, default=MOST)
        assert row["until_max"] == LEAST
