"""How events of a topic find their homes: decided once for each topic, before any of its events is judged."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from streams.core.home import Homes, newest
from streams.core.values import Progress
from streams.sink import Sink
from streams.worker.config import FORWARD, WorkerConfig
from streams.worker.errors import HomesUnclear
from streams.worker.values import KafkaTopic

REHOME = "stop all workers, run `songlo topics --rehome`, and start them again"


def decide(sink: Sink, name: str, topic: KafkaTopic, config: WorkerConfig) -> Homes | None:
    """What holds of a topic, decided now where it was not; None where it can't be.

    Runs in the sink's thread.
    """
    known = sink.homes(name)
    if newest(known, topic.id) is None:
        counted = sink.progress(name, range(topic.partitions)).values()
        for homes in undecided(name, topic, known, counted, config):
            sink.put_homes(homes)
        # another worker may have been first
        known = sink.homes(name)
    return newest(known, topic.id)


def undecided(
    name: str, topic: KafkaTopic, known: Sequence[Homes], counted: Iterable[Progress], config: WorkerConfig
) -> list[Homes]:
    """What is to be decided of a topic of which nothing is: none where some of it was counted without.

    A topic that was recreated is another one, and decided anew once a raised epoch says that this was meant.
    Kafka that had no ids and has them now keeps the topics: what holds of them holds on.
    """
    if topic.id and known and not any(h.topic_id for h in known):
        return [replace(h, topic_id=topic.id) for h in known]
    for progress in counted:
        another = topic.id and progress.topic_id and progress.topic_id != topic.id
        if not another or progress.epoch >= config.epoch:
            return []
    return [Homes(name, topic.id, 0, topic.partitions, config.strays == FORWARD, config.epoch)]


def settled(empty: Progress, homes: Homes | None) -> Homes:
    """What a partition begins with; raises HomesUnclear where the others were counted without."""
    if homes is None:
        raise HomesUnclear(
            f"{_place(empty)}: how events of this topic find their homes is not decided, and some of it was "
            f"counted without: {REHOME}"
        )
    return homes


def check_agrees(stored: Progress, homes: Homes | None) -> None:
    """Raise HomesUnclear where a partition was counted by something else than what holds of its topic."""
    if not stored.homes:
        raise HomesUnclear(
            f"{_place(stored)}: it was counted by a version in which events had no homes, so repeats were "
            f"found within a partition alone: {REHOME}"
        )
    if homes is None or (homes.partitions, homes.forward) != (stored.homes, stored.forward):
        holds = _told(homes.partitions, forward=homes.forward) if homes else "nothing is decided"
        raise HomesUnclear(
            f"{_place(stored)}: it was counted by {_told(stored.homes, forward=stored.forward)}, but now "
            f"{holds}, so a rehoming was interrupted: {REHOME}"
        )


def check_fits(name: str, topic: KafkaTopic, homes: Homes) -> None:
    """Raise HomesUnclear where some events would have a partition as home that is not there."""
    if homes.partitions > topic.partitions:
        raise HomesUnclear(
            f"{name}: it has {topic.partitions} partitions, but its events find their homes among "
            f"{homes.partitions}, so it was recreated: {REHOME}"
        )


def differing(homes: Iterable[Homes], config: WorkerConfig) -> Collection[Homes]:
    """Those that say something else of strays than this worker's setting."""
    return [h for h in homes if h.forward != (config.strays == FORWARD)]


def _place(progress: Progress) -> str:
    return f"{progress.topic}[{progress.partition}]"


def _told(partitions: int, *, forward: bool) -> str:
    return f"{partitions} homes with strays {'sent there' if forward else 'counted where they are'}"
