"""When a stream refuses too much: its share of dead letters, and the switch that pauses it.

A limit on dead letters, and a stop beyond it, rather than a city in `dead_letters`: as in getsentry's arroyo
(`DlqLimit`). Only more refused events than the limit has room for trip it, so a few at a start never do; nor
does what a few sources cause, whose garbage `streams.core.refusals` holds back.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from streams.core.refusals import RefusalSummary
from streams.core.values import version_of

# the last events are kept as about so many counts, whatever the sizes of the batches
PARTS = 100
# what so many sources cause is theirs, and no reason to pause a stream
FEW = 10


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

    def from_many(self, read: int, dead: int, few: int) -> bool:
        """Whether too many are refused also without the `few` of the most frequent sources.

        A tenth of the limit's events at least must be left, so that a few good ones beside one source's
        garbage pause nothing.
        """
        return (dead - few) * 100 > self.percent * max(read - few, self.events // 10)


class Recent:
    """The last events of one stream, counted batch by batch: at least as many as the limit asks for.

    What is only noted does not count, neither as read nor as dead.
    """

    __slots__ = ("_limit", "_parts", "dead", "read")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._parts: deque[_Part] = deque()
        self.read = self.dead = 0

    def add(self, read: int, refused: RefusalSummary | None = None) -> bool:
        """Count one batch; whether too many are refused by now, of too many sources."""
        dead = refused.letters if refused else 0
        self.read += read
        self.dead += dead
        if not self._parts or self._parts[-1].read + read > self._limit.events // PARTS:
            self._parts.append(_Part())
        self._parts[-1].add(read, refused)
        while self.read - self._parts[0].read >= self._limit.events:
            gone = self._parts.popleft()
            self.read -= gone.read
            self.dead -= gone.refused.letters
        if not self._limit.exceeded(self.read, self.dead):
            return False
        # good events alone make nothing worse
        return dead > 0 and self._limit.from_many(self.read, self.dead, self._few())

    def _few(self) -> int:
        """How many letters the most frequent sources explain: by the kind of key that explains more."""
        by_key, by_own = Counter[bytes](), Counter[bytes]()
        for part in self._parts:
            by_key.update(part.refused.by_key.counts)
            by_own.update(part.refused.by_own.counts)
        return max(sum(n for _, n in counts.most_common(FEW)) for counts in (by_key, by_own))


@dataclass(slots=True)
class _Part:
    """Some of the last events; of what was refused only letters and their sources are kept."""

    read: int = 0
    refused: RefusalSummary = field(default_factory=RefusalSummary)

    def add(self, read: int, more: RefusalSummary | None) -> None:
        self.read += read
        if more:
            self.refused.letters += more.letters
            self.refused.by_key.add_all(more.by_key)
            self.refused.by_own.add_all(more.by_own)


@dataclass(frozen=True, slots=True)
class Breaker:
    """The switch of one stream, as all workers see it; `at_ms` and `reason` tell of its last change.

    `changes` counts how often it was paused and resumed, and the highest wins: a worker that has not heard
    of a resume writes the pause that was resumed, and changes nothing. What is refused before the place
    `past` of a partition, an epoch and an offset as in `version_of`, is only noted.
    """

    stream: str
    changes: int = 0
    at_ms: int = 0
    reason: str = ""
    past: Mapping[int, int] = field(default_factory=dict, hash=False)

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

    def skip(self, past: Mapping[int, int], at_ms: int, reason: str) -> "Breaker":
        """Running from now on, and past what is refused up to there, also where it is running already."""
        places = {p: max(past.get(p, 0), self.past.get(p, 0)) for p in self.past.keys() | past.keys()}
        # two changes of a running one leave it running, and are heard of
        changes = self.changes + (1 if self.paused else 2)
        return replace(self, changes=changes, at_ms=at_ms, reason=reason, past=places)

    def note_below(self, partition: int, epoch: int) -> int:
        """The first offset of a partition's log that is not skipped; 0 where nothing is."""
        return max(0, min(self.past.get(partition, 0), version_of(epoch + 1, 0)) - version_of(epoch, 0))

    def _changed(self, at_ms: int, reason: str) -> "Breaker":
        return replace(self, changes=self.changes + 1, at_ms=at_ms, reason=reason)
