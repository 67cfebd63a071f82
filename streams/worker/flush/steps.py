"""One flush, in the only order that is safe: what a position accounts for is stored before the position.

A crash between any two steps leaves rows that the replay writes again, with the same versions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from streams.core.late_duplicates import LateDeduplicator
from streams.core.values import Changes
from streams.sink import Sink, SinkSetBack
from streams.spec import StreamSpec


def drop_late_duplicates(sink: Sink, captured: Sequence[tuple[LateDeduplicator, Changes]]) -> list[Changes]:
    """The captured changes of one stream without late duplicates; their ids are looked up together.

    Raises SinkUnavailable before anything has changed: the call may be made again.
    """
    asked = {
        (changes.progress.partition, start_ms): ids
        for deduplicator, changes in captured
        for start_ms, ids in deduplicator.asked(changes).items()
    }
    known = sink.known_ids(captured[0][1].progress.topic, asked) if asked else {}
    settled = []
    for deduplicator, changes in captured:
        partition = changes.progress.partition
        fetched = {start: ids for (p, start), ids in known.items() if p == partition}
        settled.append(deduplicator.drop(changes, fetched))
    return settled


NOTHING: Mapping[int, int] = MappingProxyType({})


def check_not_set_back(sink: Sink, spec: StreamSpec, stored: Mapping[int, int]) -> None:
    """Raise SinkSetBack when a partition's progress is older than the version that was stored before.

    A store that was restored from a copy under a running worker lacks rows that the worker will not write
    again; a newer progress would hide that for good.
    """
    found = sink.progress(spec.topic, stored) if stored else {}
    for partition, version in stored.items():
        progress = found.get(partition)
        if progress is None or progress.version < version:
            has = f"offset {progress.next_offset}" if progress else "no progress"
            raise SinkSetBack(
                f"{spec.topic}[{partition}]: the store has {has}, but version {version} was stored: it was "
                "set back to an older copy, so this worker ends, and its next start folds what is missing"
            )


def steps(
    sink: Sink, spec: StreamSpec, settled: Sequence[Changes], stored: Mapping[int, int] = NOTHING
) -> Iterator[str]:
    """The writes of a flush one by one; yields the name of each failpoint before it passes it.

    `stored` is the version of the progress that each partition must have by now. Raises SinkSetBack.
    """
    yield "flush.before_rows"
    if any(c.rows or c.late for c in settled):
        sink.put_rows(spec, settled)
    yield "flush.before_ids"
    if any(c.closed for c in settled):
        sink.put_ids(spec, settled)
    yield "flush.before_late"
    if any(c.late for c in settled):
        sink.put_late(spec, settled)
    yield "flush.before_dead"
    if any(c.dead for c in settled):
        sink.put_dead(spec, settled)
    yield "flush.before_noted"
    # behind the letters: where a message's notes replace those of an earlier fold, its letters are there
    if any(c.noted for c in settled):
        sink.put_noted(spec, settled)
    yield "flush.before_progress"
    check_not_set_back(sink, spec, stored)
    sink.put_progress(spec, settled)
    yield "flush.after_progress"


def store(
    sink: Sink,
    spec: StreamSpec,
    settled: Sequence[Changes],
    failpoint: Callable[[str], None],
    stored: Mapping[int, int] = NOTHING,
) -> None:
    """Write settled changes of one stream; safe to call again with the same changes after any failure.

    `failpoint` is told each failpoint as it is passed; `stored` as for `steps`.
    """
    for name in steps(sink, spec, settled, stored):
        failpoint(name)
