"""A stream that uses what the city's three do not: for engines that take streams as data."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.event import Code, Event, Instant, Order
from streams.measures import (
    After,
    Count,
    Distribution,
    Elapsed,
    Has,
    Is,
    Maximum,
    Minimum,
    NotAfter,
    Sum,
    Thousandths,
)
from streams.spec import StreamSpec


class ParkingEvent(Event, frozen=True, gc=False, kw_only=True):
    """A car comes or goes; fields of every type, with defaults and bounds of every kind."""

    orders = (Order("from_at", "until_at", "after until_at"), Order("low", "high", "above high"))

    lot: Code = "lot-0"
    gate: Literal["north", "south"] = "north"
    lane: Code | None = "l"
    paid: bool = False
    electric: bool | None = None
    change: Annotated[int, Meta(ge=-(10**9), lt=10**9)] = -5
    low: Annotated[int, Meta(gt=0, le=50)] | None = None
    high: Annotated[int, Meta(gt=0, lt=50)] | None = 7
    weight_t: Annotated[float, Meta(gt=0, lt=60)] = 1.5
    height_m: Annotated[float, Meta(ge=0, le=4.0005)] | None = 2.0005
    free_number: float | None = None
    free_integer: int | None = None
    from_at: Instant | None = None
    until_at: Instant | None = None
    tags: Literal["a", "b", "c"] | None = None


PARKING = StreamSpec(
    name="parking",
    topic="parking.events",
    event=ParkingEvent,
    key="lot",
    table="parking_windows",
    view="parking_minute",
    dimensions=("lot", "gate", "ward_code", "lane", "tags"),
    measures=(
        Sum("change", of="change"),
        Count("cars"),
        Count("electric", when=(Has("electric"), Has("free_number"))),
        Count("north_b", when=(Is("gate", "north"), Is("tags", "b"))),
        Count("on_time", when=(NotAfter("from_at", "until_at"), After("until_at", "occurred_at"))),
        Distribution("weight", of=Thousandths("weight_t")),
        Distribution("height", of=Thousandths("height_m"), when=(Is("gate", "south"),)),
        Distribution("high", of=Thousandths("high"), when=(Has("low"),)),
        Distribution("stay", of=Elapsed("from_at", "until_at")),
        Maximum("change_max", of="change"),
        Minimum("change_min", of="change"),
        Minimum("low_min", of="low", when=(Is("gate", "north"),)),
        Maximum("until_max", of="until_at", when=(Has("free_number"),)),
    ),
    dedupe=True,
)
"""All kinds of measures and conditions."""
