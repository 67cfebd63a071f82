"""A stream's definition checks all that others rely on, and says what is wrong."""

from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from schemas.event import Code, Event, Instant
from streams.measures import (
    After,
    Count,
    Distribution,
    Elapsed,
    Has,
    Is,
    Maximum,
    Measure,
    Minimum,
    NotAfter,
    Sum,
    Thousandths,
)
from streams.registry import load_streams
from streams.spec import SpecError, StreamSpec
from tests.support.odd import PARKING


class Arrival(Event, frozen=True, gc=False, kw_only=True):
    """A bus at a stop; fields that a definition can and can't use."""

    stop: Code
    line: Annotated[str, Meta(pattern="^[0-9]+$")] | None = None
    side: Literal["left", "right"] = "left"
    number: Literal[1, 2] = 1
    boarded: Annotated[int, Meta(ge=0, le=500)] | None = None
    delta: Annotated[int, Meta(gt=-100, lt=100)] = 0
    free: int = 0
    half: Annotated[int, Meta(ge=0)] = 0
    wide: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0
    load: Annotated[float, Meta(ge=0, le=2)] | None = None
    lean: float | None = None
    full: bool = False
    due_at: Instant | None = None
    mixed: int | str = 0
    _hidden: str = ""


def bus(*measures: Measure, **changed: Any) -> StreamSpec:
    """A stream of arrivals that is right but for what is changed."""
    spec = StreamSpec(
        name="bus", topic="bus.arrivals", event=Arrival, key="stop", table="bus_windows", view="bus_minute",
        dimensions=("stop", "ward_code"),
    )  # fmt: skip
    return replace(spec, measures=measures, **changed)


def test_what_is_right_is_taken() -> None:
    """Text of any kind is a dimension, numbers and times are measured; all streams that there are pass."""
    spec = bus(
        Count("left_side", when=(Is("side", "left"), Has("full"))),
        Sum("boarded", of="boarded"),
        Maximum("boarded_max", of="boarded", when=(NotAfter("occurred_at", "due_at"),)),
        Minimum("delta_min", of="delta"),
        Maximum("last_due", of="due_at"),
        Distribution("load", of=Thousandths("load")),
        Distribution("half", of=Thousandths("half")),
        Distribution("delay", of=Elapsed("due_at", "occurred_at"), when=(After("occurred_at", "due_at"),)),
        dimensions=("stop", "line", "side", "ward_code"),
    )
    assert spec.columns[:8] == (
        "window_start", "stop", "line", "side", "ward_code", "late_id", "version", "events",
    )  # fmt: skip
    assert [spec.columns.count(f"delay_{end}") for end in ("count", "sum", "max", "buckets", "weights")] == (
        [1] * 5
    )
    assert all(isinstance(spec, StreamSpec) for spec in (PARKING, *load_streams().values()))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"dimensions": ("stop",)}, "ward_code must be among its dimensions"),
        ({"dimensions": ()}, "ward_code must be among its dimensions"),
        ({"dimensions": ("ward_code", "route")}, "a dimension names the field route, which Arrival does not"),
        ({"dimensions": ("ward_code", "boarded")}, "its dimension boarded must be a text field"),
        ({"dimensions": ("ward_code", "number")}, "its dimension number must be a text field"),
        ({"dimensions": ("ward_code", "mixed")}, "its dimension mixed must be a text field"),
        ({"dimensions": ("ward_code", "stop", "stop")}, "2 of its columns are named stop: choose another"),
        ({"dimensions": ("ward_code", "_hidden")}, "the column '_hidden' must be at most 64 of a-z"),
        ({"key": "gateway"}, "its key names the field gateway, which Arrival does not have"),
        ({"key": "boarded"}, "its key boarded must be a text field"),
        ({"name": "bus-2"}, "the name 'bus-2' must be at most 64 of a-z, 0-9 and _"),
        ({"table": "bus windows"}, "the table 'bus windows' must be"),
        ({"table": "x" * 65}, "must be at most 64 of a-z"),
        ({"view": "2_minute"}, "the view '2_minute' must be .* the first of them a letter"),
        ({"view": "v; DROP TABLE x"}, "the view 'v; DROP TABLE x' must be"),
        ({"view": "bus_windows"}, "its table and its view are both bus_windows"),
        ({"topic": "bus/arrivals"}, "the topic 'bus/arrivals' must be of letters"),
        ({"topic": ""}, "the topic '' must be"),
    ],
    ids=str,
)
def test_wrong_names_and_dimensions(changed: dict[str, Any], reason: str) -> None:
    """The error names the stream, the part, and what it has to be."""
    with pytest.raises(SpecError, match=f"^stream {changed.get('name', 'bus')}: .*{reason}"):
        bus(**changed)


@pytest.mark.parametrize(
    ("measure", "reason"),
    [
        (Sum("fee", of="fee"), "measure fee names the field fee, which Arrival does not have"),
        (Count("x", when=(Has("fee"),)), "measure x names the field fee"),
        (Count("x", when=(After("due_at", "fee"),)), "measure x names the field fee"),
        (Sum("x", of="load"), "measure x: the field load must be a whole number"),
        (Sum("x", of="full"), "the field full must be a whole number"),
        (Maximum("x", of="free"), "measure x: the field free must be a whole number with bounds"),
        (Maximum("x", of="half"), "the field half must be a whole number with bounds"),
        (Minimum("x", of="wide"), "the field wide must be a whole number with bounds"),
        (Minimum("x", of="stop"), "the field stop must be a whole number with bounds"),
        (Distribution("x", of=Thousandths("lean")), "the field lean must be a number with a bound of 0"),
        (Distribution("x", of=Thousandths("delta")), "the field delta must be a number with a bound of 0"),
        (Distribution("x", of=Elapsed("due_at", "load")), "the field load must be a time or another whole"),
        (Count("x", when=(Is("boarded", "1"),)), "the field boarded must be a text"),
        (Count("x", when=(Is("side", "top"),)), "the field side is never 'top': correct the condition"),
        (Count("x", when=(NotAfter("load", "due_at"),)), "the field load must be a time"),
        (Count("stop"), "2 of its columns are named stop"),
        (Count("events"), "the column events is one that every stream has"),
        (Count("partition"), "the column partition is one that every stream has"),
        (Count("late_events"), "the column late_events is one that every stream has"),
        (Count("distinct"), "the column distinct means something else in SQL"),
        (Count("Large"), "the column 'Large' must be at most 64 of a-z"),
        (Distribution("x" * 60, of=Thousandths("load")), "xx_weights' must be at most 64 of a-z"),
    ],
    ids=str,
)
def test_wrong_measures(measure: Measure, reason: str) -> None:
    """Fields that are not there or can't be measured so, and columns that would be two things."""
    with pytest.raises(SpecError, match=f"^stream bus: .*{reason}"):
        bus(measure)


def test_two_measures_of_one_name() -> None:
    """Whoever compares windows names the measure that differs."""
    with pytest.raises(SpecError, match="2 measures are named x: choose another name"):
        bus(Count("x"), Distribution("x", of=Thousandths("load")))


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Not one thing for each attempt."""
    with pytest.raises(SpecError, match=r"partition is one .*; .*key boarded.*; measure y: the field load"):
        bus(Count("partition"), Sum("y", of="load"), key="boarded")
