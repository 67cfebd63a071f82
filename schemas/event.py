"""What every event carries, and the types that fields are made of.

An event is flat: its fields are texts, numbers and times. Values that come out of a `Codec` keep every
rule here: texts are 1 to 64 printable characters, and times are integer epoch milliseconds, however the
message wrote them.
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, NamedTuple

from msgspec import Meta, Struct

from schemas.errors import Refused

MIN_MS = 946_684_800_000
"""2000-01-01T00:00:00Z, the first instant accepted: before it, a clock was never set."""

END_MS = 4_102_444_800_000
"""2100-01-01T00:00:00Z, the first instant no longer accepted."""

Identifier = Annotated[str, Meta(min_length=1, max_length=64, description="1 to 64 printable characters")]
"""What names one thing; printable as `str.isprintable` has it: no control characters, no NBSP."""

Code = Identifier
"""What names a kind of thing."""

Count = Annotated[int, Meta(ge=0, le=10**12)]
"""How many, summed by the producer."""

Dong = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Vietnamese dong")]
"""An amount of money: whole, and exact in any JSON reader."""

Instant = Annotated[
    int,
    Meta(
        ge=MIN_MS,
        lt=END_MS,
        description="epoch milliseconds, or RFC 3339 with an offset from UTC",
        extra_json_schema={"format": "date-time"},
    ),
]
"""A moment. A message may hold RFC 3339 text instead, cut to the millisecond; decoded it is an integer."""


class Forbidden:
    """The type of a field that must not be sent, whatever its value (null included)."""

    reason: ClassVar[str] = "must not be sent"


class RawPlate(Forbidden):
    """A number plate that can be read."""

    reason = "raw number plates are not taken: send plate_hash, or nothing"


class Order(NamedTuple):
    """Two times of an event: where both are there, the first is not after the last, or `reason` is given."""

    first: str
    last: str
    reason: str


class Event(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One event. Fields that it does not know are ignored, so that producers may add to theirs.

    `orders` are the rules across fields; data, so that every engine keeps the same ones.
    """

    orders: ClassVar[tuple[Order, ...]] = ()

    event_id: Identifier
    occurred_at: Instant
    ward_code: Code

    def check(self) -> None:
        """Refuse what no single field shows; raises `Refused`."""
        for first, last, reason in self.orders:
            earlier, later = getattr(self, first), getattr(self, last)
            if earlier is not None and later is not None and earlier > later:
                raise Refused(first, reason)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(instant: int | datetime) -> int:
    """Epoch milliseconds of an instant; a datetime must be aware, and is cut to the millisecond before it."""
    if isinstance(instant, int):
        return instant
    since = instant - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
