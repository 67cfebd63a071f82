"""What share of a stream's events strays, and what it takes to have fewer: a line an hour where many do.

No I/O here. Strays are counted exactly however many they are, so this is advice, and no alarm.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streams.core.values import Progress
from streams.spec import StreamSpec
from streams.worker.values import Partition

# a share is that of so many events, or of an hour's, if that are not too few to tell
RECENT, LEAST = 100_000, 1000
HOUR_S = 3600.0
MOST_PERCENT = 5


@dataclass(slots=True)
class _Share:
    """Events of one topic, read since a time by a monotonic clock."""

    since_s: float
    read: int = 0
    sent: int = 0
    away: int = 0
    told_s: float = -HOUR_S

    @property
    def percent(self) -> int:
        """How many of a hundred strayed."""
        return 100 * (self.sent + self.away) // max(self.read, 1)


class StrayShares:
    """Of all streams; it hears of each progress that partitions begin with, or have flushed."""

    def __init__(self, specs: Iterable[StreamSpec]) -> None:
        self._specs = {spec.topic: spec for spec in specs}
        self._shares: dict[str, _Share] = {}
        self._last: dict[Partition, tuple[int, int, int]] = {}
        # topics with partitions that are no homes: how many they have
        self._grown: dict[str, int] = {}

    def resumed(self, progress: Progress) -> None:
        """A partition goes on from here."""
        self._last[progress.topic, progress.partition] = _counts(progress)

    def met(self, topic: str, partitions: int, homes: int) -> None:
        """A topic has so many partitions by now, and homes are reckoned by so many."""
        self._grown.pop(topic, None)
        if partitions > homes:
            self._grown[topic] = partitions

    def flushed(self, progress: Progress, now_s: float) -> None:
        """A partition has come so far."""
        partition, counts = (progress.topic, progress.partition), _counts(progress)
        before = self._last.get(partition, counts)
        self._last[partition] = counts
        share = self._shares.setdefault(progress.topic, _Share(now_s))
        read, sent, away = (max(0, new - old) for new, old in zip(counts, before, strict=True))
        share.read, share.sent, share.away = share.read + read, share.sent + sent, share.away + away

    def lines(self, now_s: float) -> Iterator[str]:
        """What to say now: of each stream of which too many stray, once an hour."""
        for topic, share in self._shares.items():
            if share.read < RECENT and now_s - share.since_s < HOUR_S:
                continue
            told_s = share.told_s
            if share.read >= LEAST and share.percent > MOST_PERCENT and now_s - told_s >= HOUR_S:
                told_s = now_s
                yield self._line(self._specs[topic], share)
            self._shares[topic] = _Share(now_s, told_s=told_s)

    def _line(self, spec: StreamSpec, share: _Share) -> str:
        key = spec.key
        cost = (
            "they were sent home, so each was read twice and counts a flush later"
            if share.sent
            else "they count where they are, so repeats of them elsewhere may count twice"
        )
        line = (
            f"stream {spec.name}: {share.percent} % of the last {share.read:,} events were in another "
            f"partition than their {key}'s; {cost}. Whoever sends can cure it: the {key} as each message's "
            f"key, one {key} in a bundle, and for librdkafka (confluent-kafka, kcat -X) "
            "partitioner=murmur2_random"
        )
        if partitions := self._grown.get(spec.topic):
            line += (
                f". There are {partitions} partitions by now, more than homes are reckoned by: with all "
                "workers stopped `songlo topics --rehome` takes them all"
            )
        return line


def _counts(progress: Progress) -> tuple[int, int, int]:
    """Events read, sent home, and counted away from home."""
    p = progress
    return p.folded + p.duplicates + p.late + p.dead + p.strays, p.strays, p.away
