"""How a worker takes on the partitions of a rebalance, before any of their events is read."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from streams.core.home import Homes
from streams.core.values import Progress
from streams.sink import Sink, SinkError, SinkUnavailable
from streams.worker.client.consumer import Consumer
from streams.worker.errors import LogRecreated, LogTruncated, LogUnknown, WorkerStop
from streams.worker.recover.homes import check_fits, decide, differing
from streams.worker.recover.resume import resume
from streams.worker.runtime import Runtime
from streams.worker.values import KafkaTopic, LogBounds, Partition

log = logging.getLogger(__name__)

T = TypeVar("T")

# looks at a log that seems cut: a broker that has just come back may report an end of before for a moment
RECHECKS = 5


async def recover_assigned(runtime: Runtime, consumer: Consumer, outdated: Callable[[], bool]) -> None:
    """Drop the folds of partitions that were lost and load those that are new; the rest stay as they are.

    Gives up without harm when `outdated` says that the next rebalance has begun.
    """
    runtime.failpoint("rebalance.assigned")
    if outdated():
        return
    assigned = [(tp.topic, tp.partition) for tp in consumer.assignment()]
    missing = runtime.partitions.missing(assigned)
    runtime.failpoint("recover.before_load")
    try:
        await learn_switches(runtime, outdated)
        for progress in await load(runtime, consumer, missing, outdated):
            runtime.partitions.add(progress)
            runtime.acknowledged.resumed(progress)
            runtime.stray_shares.resumed(progress)
    except SinkUnavailable:
        log.info("another rebalance began before the progress of this one was read")
        return
    except (WorkerStop, SinkError) as error:
        runtime.fail(error)
        return
    runtime.failpoint("recover.after_load")
    if not outdated():
        log.info("assigned %d partitions, %d of them new", len(assigned), len(missing))
        runtime.rebalance_since = None
        runtime.write_status("ready")


async def learn_switches(runtime: Runtime, outdated: Callable[[], bool]) -> None:
    """Hear what is paused, before anything is read; raises SinkUnavailable when outdated meanwhile."""

    def unwanted() -> bool:
        return outdated() or runtime.ending.stopping.is_set()

    runtime.switches.learn(
        await runtime.sink_thread.retry_until_available(runtime.sink.breakers, "reading breakers", unwanted)
    )


async def load(
    runtime: Runtime, consumer: Consumer, missing: Iterable[Partition], outdated: Callable[[], bool]
) -> list[Progress]:
    """Where each missing partition goes on.

    Raises SinkUnavailable when outdated while the sink is away, WorkerStop when a partition can't go on.
    """

    def unwanted() -> bool:
        return outdated() or runtime.ending.stopping.is_set()

    missing = list(missing)
    if not missing:
        return []
    stored = await runtime.sink_thread.retry_until_available(
        partial(read, runtime.sink, missing), "reading progress", unwanted
    )
    runtime.acknowledged.found(missing, stored)
    # before the bounds: what is recreated after that is another topic than the one remembered
    runtime.identities.keep({topic for topic, _ in runtime.positions()})
    topics = await ask_until_known(partial(identify, runtime, {topic for topic, _ in missing}), unwanted)
    homes = await learn_homes(runtime, topics, unwanted)
    # where both ids of a topic are known, times tell nothing more
    doubtful = {p for p in missing if p in stored and not (stored[p].topic_id and topics[p[0]].id)}
    counted_ms = {p: stored[p].max_append_ms if p in doubtful else None for p in missing}
    for rechecks in range(RECHECKS + 1):
        log_bounds = await ask_until_known(partial(consumer.log_bounds, counted_ms), unwanted)
        try:
            resumed = [
                resume(
                    runtime.partitions.empty(p),
                    stored.get(p),
                    replace(log_bounds[p], topic_id=topics[p[0]].id),
                    runtime.config,
                    homes[p[0]],
                )
                for p in sorted(missing)
            ]
        except (LogRecreated, LogTruncated) as error:
            if rechecks == RECHECKS or unwanted():
                raise
            log.warning("looking again: %s", error)
            await asyncio.sleep(runtime.config.recheck_ms / 1000 / RECHECKS)
        else:
            for name, topic in topics.items():
                if decided := homes[name]:
                    check_fits(name, topic, decided)
                    runtime.stray_shares.met(name, topic.partitions, decided.partitions)
            return resumed
    raise AssertionError("the last look raises")


async def identify(runtime: Runtime, names: Collection[str]) -> dict[str, KafkaTopic]:
    """What Kafka says of all these topics; raises LogUnknown, and LogRecreated as `Identities` does."""
    found = await runtime.identities.remember(names)
    if absent := sorted(set(names) - found.keys()):
        raise LogUnknown(f"it does not describe {', '.join(absent)}")
    return found


async def learn_homes(
    runtime: Runtime, topics: Mapping[str, KafkaTopic], unwanted: Callable[[], bool]
) -> dict[str, Homes | None]:
    """How events of each topic find their homes, decided where it is a new one; None where it can't be.

    Raises SinkUnavailable when outdated while the sink is away.
    """
    found: dict[str, Homes | None] = {}
    for name, topic in topics.items():
        found[name] = await runtime.sink_thread.retry_until_available(
            partial(decide, runtime.sink, name, topic, runtime.config), f"homes of {name}", unwanted
        )
    for homes in differing(filter(None, found.values()), runtime.config):
        if homes.topic not in runtime.told_homes:
            runtime.told_homes.add(homes.topic)
            log.warning(
                "%s: its strays are %s, as was decided; SONGLO_STRAYS=%s takes effect once all workers are "
                "stopped and `songlo topics --rehome` is run",
                homes.topic,
                "sent home" if homes.forward else "counted where they are",
                runtime.config.strays,
            )
    return found


def read(sink: Sink, partitions: Iterable[Partition]) -> dict[Partition, Progress]:
    """The stored progress of these partitions; runs in the sink's thread."""
    numbers: dict[str, list[int]] = {}
    for topic, number in partitions:
        numbers.setdefault(topic, []).append(number)
    return {
        (topic, number): progress
        for topic, wanted in numbers.items()
        for number, progress in sink.progress(topic, wanted).items()
    }


async def ask_until_known(ask: Callable[[], Awaitable[T]], unwanted: Callable[[], bool]) -> T:
    """What Kafka says of its logs, asked again until it answers; raises SinkUnavailable when outdated."""
    while True:
        try:
            return await ask()
        except LogUnknown as error:
            log.warning("Kafka does not say what its log is: %s", error)
            if unwanted():
                raise SinkUnavailable("outdated") from error
            await asyncio.sleep(1)


async def seek_again(runtime: Runtime, consumer: Consumer) -> None:
    """Check the partitions that lost their place against the log; read on where their folds stand."""
    wanted = runtime.seeks.take(runtime.positions().keys())
    if not wanted:
        return
    for rechecks in range(RECHECKS + 1):
        ask = partial(consumer.log_bounds, dict.fromkeys(wanted))
        log_bounds = await ask_until_known(ask, runtime.ending.stopping.is_set)
        held = {p: offset for p, offset in runtime.positions().items() if p in wanted}
        lost = [p for p, offset in held.items() if not log_bounds[p].start <= offset <= log_bounds[p].end]
        if not lost:
            break
        if rechecks == RECHECKS:
            raise _cut(lost[0], held[lost[0]], log_bounds[lost[0]])
        await asyncio.sleep(runtime.config.recheck_ms / 1000 / RECHECKS)
    await consumer.perform_seek()


def _cut(partition: Partition, position: int, log_bounds: LogBounds) -> WorkerStop:
    topic, number = partition
    place = f"{topic}[{number}]: folded up to offset {position}"
    start, end = log_bounds.start, log_bounds.end
    if position < start:
        return LogTruncated(
            f"{place}, but Kafka's log starts at {start} by now: {start - position} offsets are gone. "
            "Restore the log, or accept the gap: songlo worker --accept-gap"
        )
    return LogRecreated(
        f"{place}, but the log ends at {end} by now, so the topic was recreated or cut: restore it, or start "
        "again with SONGLO_EPOCH raised by one to count the new log as well"
    )
