"""How far the windows are behind the log: pure, offsets in, values out."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Offsets = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Lag:
    """One partition: `end` is the offset after its last message, `next_offset` the next to be folded.

    It is `paused` when its stream is. `strays` is how many of its events were sent home to other partitions,
    `away` how many of others' homes have counted here.
    """

    topic: str
    partition: int
    end: int
    next_offset: int
    watermark_ms: int | None
    paused: bool = False
    strays: int = 0
    away: int = 0

    @property
    def lag(self) -> int:
        """Messages still to be folded."""
        return max(0, self.end - self.next_offset)

    @property
    def beyond(self) -> bool:
        """Folded further than the topic goes: it was created anew."""
        return self.next_offset > self.end

    def age_s(self, now_ms: int) -> float | None:
        """Seconds from the watermark to now; None before there is one."""
        return (now_ms - self.watermark_ms) / 1000 if self.watermark_ms is not None else None


def lags(
    ends: Offsets, starts: Offsets, progress: Iterable[Mapping[str, Any]], paused: Collection[str] = ()
) -> list[Lag]:
    """The lag of every partition in `ends`, in order; one without progress begins where its log begins.

    `progress` has the columns topic, partition, next_offset, watermark_ms (0: none yet), strays and away.
    `paused` are topics.
    """
    known = {(p["topic"], p["partition"]): p for p in progress}
    found = []
    for place, end in sorted(ends.items()):
        p, held = known.get(place), place[0] in paused
        if p is None:
            found.append(Lag(*place, end, min(end, starts.get(place, 0)), None, held))
        else:
            at_ms = p["watermark_ms"] or None
            found.append(Lag(*place, end, p["next_offset"], at_ms, held, p["strays"], p["away"]))
    return found


def duration(seconds: float | None) -> str:
    """A length of time in words short enough for a table: '3 s', '12 min', '5 h', '40 d'."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    for unit, length in (("min", 60), ("h", 3600)):
        if seconds < 100 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} d"


def table(found: Iterable[Lag], now_ms: int) -> list[str]:
    """The lags as lines of at most 80 columns, a header first."""
    lines = [f"{'topic':<21} {'part':>4} {'end':>12} {'next':>12} {'lag':>9} {'strays':>7} {'watermark':>9}"]
    for p in found:
        age = "paused" if p.paused else duration(p.age_s(now_ms))
        lines.append(
            f"{p.topic:<21.21} {p.partition:>4} {_fit(p.end, 12)} {_fit(p.next_offset, 12)} {_fit(p.lag, 9)} "
            f"{_fit(p.strays, 7)} {age:>9}"
        )
    return lines


def away(found: Iterable[Lag]) -> list[str]:
    """A line for each topic of which events have counted away from their homes."""
    counts = Counter[str]()
    for p in found:
        counts[p.topic] += p.away
    return [
        f"{topic}: {count:,} events have counted away from their home (SONGLO_STRAYS=count): repeats of them "
        "in other partitions are not found"
        for topic, count in counts.items()
        if count
    ]


def _fit(number: int, width: int) -> str:
    """The number, or about it where it is wider."""
    text = f"{number:>{width}}"
    return text if len(text) <= width else f"{number:>{width}.1e}"
