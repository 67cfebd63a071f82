"""The city's time of day, and curves over it."""

from collections.abc import Sequence
from dataclasses import dataclass

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_OFFSET_MS = 7 * _HOUR_MS  # Vietnam has one zone and no summer time
_THURSDAY = 3  # 1970-01-01

SATURDAY, SUNDAY = 5, 6


@dataclass(frozen=True, slots=True)
class SimulatedMoment:
    """A point in the city's day: `hour` with its fraction, `weekday` (0 is Monday), `day` since 1970."""

    ms: int
    hour: float
    weekday: int
    day: int

    @classmethod
    def at(cls, ms: int, ahead_ms: int = 0) -> "SimulatedMoment":
        """The moment `ms` (epoch milliseconds); `ahead_ms` sets the city's clock, not the moment, forward."""
        days, rest = divmod(ms + ahead_ms + _OFFSET_MS, _DAY_MS)
        return cls(ms, rest / _HOUR_MS, (days + _THURSDAY) % 7, days)

    @property
    def weekend(self) -> bool:
        return self.weekday >= SATURDAY


def curve(by_hour: Sequence[float], hour: float) -> float:
    """The value at an hour of a curve given at each full hour: straight between, closed over midnight."""
    first = int(hour)
    rest = hour - first
    return by_hour[first % 24] * (1 - rest) + by_hour[(first + 1) % 24] * rest


def between(moment: SimulatedMoment, *spans: tuple[float, float]) -> bool:
    """Whether the hour is in one of the spans, ends excluded."""
    return any(start <= moment.hour < end for start, end in spans)
