"""When a stream refuses too much: its share of dead letters, and the switch that pauses it.

A limit on dead letters, and a stop beyond it, rather than a city in `dead_letters`: as in getsentry's arroyo
(`DlqLimit`). Only more refused events than the limit has room for trip it, so a few at a start never do.
"""

from collections import deque
from dataclasses import dataclass, replace

# the last events are kept as about so many counts, whatever the sizes of the batches
PARTS = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """More than `percent` of the last `events` events refused is too much; with percent 0 nothing is."""

    percent: int = 50
    events: int = 10_000

    def __post_init__(self) -> None:
        if not 0 <= self.percent < 100 or self.events < 1:
            raise ValueError(f"a limit of {self.percent} % of {self.events} events: 0 to 99 %, 1 or more")

    def exceeded(self, read: int, dead: int) -> bool:
        """Whether so many dead among the last `read` are too many, whatever was read before them."""
        return self.percent > 0 and dead * 100 > self.percent * max(read, self.events)


class Recent:
    """The last events of one stream, counted batch by batch: at least as many as the limit asks for."""

    __slots__ = ("_counts", "_limit", "dead", "read")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._counts: deque[tuple[int, int]] = deque()
        self.read = self.dead = 0

    def add(self, read: int, dead: int) -> bool:
        """Count one batch; whether the limit is exceeded by now."""
        self.read += read
        self.dead += dead
        if self._counts and self._counts[-1][0] + read <= self._limit.events // PARTS:
            before = self._counts.pop()
            read, dead = before[0] + read, before[1] + dead
        self._counts.append((read, dead))
        while self.read - self._counts[0][0] >= self._limit.events:
            gone = self._counts.popleft()
            self.read -= gone[0]
            self.dead -= gone[1]
        return self._limit.exceeded(self.read, self.dead)


@dataclass(frozen=True, slots=True)
class Breaker:
    """The switch of one stream, as all workers see it; `at_ms` and `reason` tell of its last change.

    `changes` counts how often it was paused and resumed, and the highest wins: a worker that has not heard
    of a resume writes the pause that was resumed, and changes nothing.
    """

    stream: str
    changes: int = 0
    at_ms: int = 0
    reason: str = ""

    @property
    def paused(self) -> bool:
        """It begins running, and every change is the other way."""
        return self.changes % 2 == 1

    def pause(self, at_ms: int, reason: str) -> "Breaker":
        """Paused from now on; itself where it is paused already."""
        return self if self.paused else self._changed(at_ms, reason)

    def resume(self, at_ms: int, reason: str) -> "Breaker":
        """Running from now on; itself where it is running already."""
        return self._changed(at_ms, reason) if self.paused else self

    def _changed(self, at_ms: int, reason: str) -> "Breaker":
        return replace(self, changes=self.changes + 1, at_ms=at_ms, reason=reason)
