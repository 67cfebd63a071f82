"""How far the windows are behind the log: pure, offsets in, values out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Offsets = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Lag:
    """One partition: `end` is the offset after its last message, `next_offset` the next to be folded.

    It is `paused` when its stream is.
    """

    topic: str
    partition: int
    end: int
    next_offset: int
    watermark_ms: int | None
    paused: bool = False

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

    `progress` has the columns topic, partition, next_offset and watermark_ms (0: none yet). `paused` are
    topics.
    """
    known = {(p["topic"], p["partition"]): p for p in progress}
    found = []
    for place, end in sorted(ends.items()):
        p, held = known.get(place), place[0] in paused
        if p is None:
            found.append(Lag(*place, end, min(end, starts.get(place, 0)), None, held))
        else:
            found.append(Lag(*place, end, p["next_offset"], p["watermark_ms"] or None, held))
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
    lines = [f"{'topic':<23} {'part':>4} {'end':>13} {'next':>13} {'lag':>12} {'watermark':>9}"]
    for p in found:
        age = "paused" if p.paused else duration(p.age_s(now_ms))
        lines.append(
            f"{p.topic:<23.23} {p.partition:>4} {p.end:>13} {p.next_offset:>13} {p.lag:>12} {age:>9}"
        )
    return lines
