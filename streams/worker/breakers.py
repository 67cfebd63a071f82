"""The breakers of one worker: it counts what it refuses, pauses a stream by itself, and hears of the others.

A paused stream is neither fetched nor folded, and what is delivered of it is discarded: its folds know where
to go on, and the resume seeks back to there. Its agent must not wait instead, since all streams come through
one loop of Faust's, which the fifth poll of a waiting agent would block for all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.core.breaker import Breaker, Limit, Recent
from streams.core.refusals import RefusalSummary
from streams.spec import StreamSpec


@dataclass(frozen=True, slots=True)
class Heard:
    """What a look into the store brought: the switches that changed, by topic."""

    paused: dict[str, Breaker]
    resumed: dict[str, Breaker]


class Breakers:
    """The switch and the last counts of each stream, by topic. No I/O; `now_ms` is the time of day."""

    def __init__(self, specs: Iterable[StreamSpec], limit: Limit) -> None:
        self._limit = limit
        self._known = {spec.topic: Breaker(spec.name) for spec in specs}
        self._recent = {topic: Recent(limit) for topic in self._known}
        # topics that are neither fetched nor folded; replaced as a whole, other threads read it
        self.paused: frozenset[str] = frozenset()
        # switches that the store does not have yet
        self.unwritten: dict[str, Breaker] = {}

    @property
    def paused_streams(self) -> list[str]:
        """The names of the streams that are paused."""
        return sorted(self._known[topic].stream for topic in self.paused)

    def of(self, topic: str) -> Breaker:
        """The switch of a topic's stream, as this worker knows it."""
        return self._known[topic]

    def count(self, topic: str, read: int, refused: RefusalSummary | None, now_ms: int) -> bool:
        """Count a batch without what is only noted of it; whether it has made the stream pause."""
        recent = self._recent[topic]
        if not recent.add(read, refused) or topic in self.paused:
            return False
        reason = (
            f"{recent.dead:,} of the last {recent.read:,} events read were refused, "
            f"of many sources, the limit is {self._limit.percent} % of {self._limit.events:,}"
        )
        self._set(topic, self._known[topic].pause(now_ms, reason))
        self.unwritten[topic] = self._known[topic]
        return True

    def written(self, topic: str, breaker: Breaker) -> None:
        """The store has this switch now."""
        if self.unwritten.get(topic) == breaker:
            del self.unwritten[topic]

    def learn(self, stored: Mapping[str, Breaker]) -> Heard:
        """Take over what others have changed; a resume starts the stream's counts anew.

        What the store has lost since, as when it was restored from a copy, is to be written again.
        """
        heard = Heard({}, {})
        for topic, known in list(self._known.items()):
            found = stored.get(known.stream, Breaker(known.stream))
            if found.changes < known.changes:
                self.unwritten[topic] = known
            if found.changes <= known.changes:
                continue
            self._set(topic, found)
            self.unwritten.pop(topic, None)
            self._recent[topic] = Recent(self._limit)
            if found.paused:
                heard.paused[topic] = found
            elif known.paused:
                heard.resumed[topic] = found
        return heard

    def _set(self, topic: str, breaker: Breaker) -> None:
        self._known[topic] = breaker
        self.paused = frozenset(t for t, known in self._known.items() if known.paused)
