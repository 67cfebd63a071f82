"""When a topic needs other homes, which, and how far its partitions are accounted for until then."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from streams.core.home import Homes, newest
from streams.core.values import Progress

# an epoch is 16 bits of a row's version
LAST_EPOCH = 65_535


class CannotRehome(Exception):
    """Other homes would lose something, or count it twice; says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to hold of a topic from now on, see `streams.core.home.Homes`.

    `starts` are the first offsets that its partitions' logs still have.
    """

    topic_id: str
    starts: tuple[int, ...]
    forward: bool

    @property
    def partitions(self) -> int:
        """How many it has."""
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Edge:
    """How far a partition is accounted for: behind it lies what these epochs have at this offset or later."""

    partition: int
    epochs: tuple[int, int]
    offset: int
    pane_ms: int = 1
    watermark_ms: int = 0

    @classmethod
    def of(cls, stored: Progress) -> "Edge":
        """That of a partition's progress, in its epoch."""
        epochs = (stored.epoch, stored.epoch)
        return cls(stored.partition, epochs, stored.next_offset, stored.pane_ms, stored.watermark_ms)


def reason(known: Iterable[Homes], stored: Collection[Progress], height: int, target: Target) -> str:
    """Why a topic needs other homes, as a clause for people; empty where it has those of the target.

    `stored` are its partitions' `current` progress. A topic of which nothing is known needs none: its first
    worker decides.
    """
    now = newest(known, target.topic_id)
    if any(not p.homes for p in stored):
        return "it was folded by a version that knew no homes"
    if now is None:
        return ""
    told = {(p.homes, p.forward) for p in stored} - {(now.partitions, now.forward)}
    if told or height > now.epoch or any(p.epoch < now.epoch for p in stored):
        return "a rehoming was interrupted"
    if now.partitions != target.partitions:
        return f"homes are reckoned by {now.partitions} partitions, and it has {target.partitions}"
    if now.forward != target.forward:
        return f"strays are to {'be sent home' if target.forward else 'count where they are'}"
    return ""


def current(stored: Mapping[int, Progress], known: Iterable[Homes], target: Target) -> dict[int, Progress]:
    """The progress of the topic as it is; of one that was made anew some may still be of its former life.

    Raises CannotRehome where no worker has met the topic since.
    """
    former = {p for p, at in stored.items() if at.topic_id and target.topic_id not in ("", at.topic_id)}
    if former and newest(known, target.topic_id) is None:
        at = stored[min(former)]
        raise CannotRehome(
            f"{at.topic}: it was deleted and created again: there is nothing to rehome before workers have "
            f"met it: start them with SONGLO_EPOCH={at.epoch + 1} to count the new log as well"
        )
    return {p: stored[p] for p in sorted(stored.keys() - former)}
