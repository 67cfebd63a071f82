"""What the live view shows, as values, and how numbers are written there."""

from dataclasses import dataclass
from datetime import datetime

from infra.operate.times import VIETNAM

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream: events since its beginning, of which some were late, sent again, refused, or sent home.

    `per_second` is None until two snapshots can be compared; `windows` counts those of the last hour;
    `watermark_ms` is the oldest of the partitions that have one.
    """

    name: str
    events: int
    per_second: float | None
    windows: int
    watermark_ms: int | None
    lag: int | None
    late: int
    duplicates: int
    strays: int
    dead: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Junction:
    """A place with its cameras' objects and mean speed (km/h, None when nothing was measured)."""

    name: str
    objects: int
    speed_kmh: float | None


@dataclass(frozen=True, slots=True)
class OfficeFigures:
    """An office with its events, and of the cases it gave back those on time and those overdue."""

    name: str
    events: int
    on_time: int
    overdue: int


@dataclass(frozen=True, slots=True)
class Category:
    """What merchants of one kind took."""

    name: str
    succeeded: int
    failed: int
    amount_vnd: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One picture; `minutes` is the span of the three lists, `trouble` says what could not be asked."""

    now_ms: int
    minutes: int
    streams: tuple[StreamState, ...] = ()
    junctions: tuple[Junction, ...] = ()
    offices: tuple[OfficeFigures, ...] = ()
    categories: tuple[Category, ...] = ()
    trouble: str = ""


def dong(amount: int) -> str:
    """Whole dong the Vietnamese way: '1.234.567 ₫'."""
    return f"{amount:,}".replace(",", ".") + " ₫"


def dotted(number: int) -> str:
    """A whole number with dots: '1.234.567'."""
    return f"{number:,}".replace(",", ".")


def short(number: float) -> str:
    """A number in at most five characters: '999', '1,2k', '123k', '4,5M'."""
    for size, unit in _UNITS:
        if abs(number) >= size:
            value = number / size
            return f"{value:.0f}{unit}" if abs(value) >= 99.95 else f"{value:.1f}{unit}".replace(".", ",")
    return f"{number:.0f}"


def clock(ms: int | None) -> str:
    """The time of day in Vietnam, '-' without one."""
    return "-" if ms is None else f"{datetime.fromtimestamp(ms / 1000, VIETNAM):%H:%M:%S}"
