"""One flush, in the only order that is safe: what a position accounts for is stored before the position.

A crash between any two steps leaves rows that the replay writes again, with the same versions, and strays
that it sends again, which are repeats at home.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from streams.core.late_duplicates import LateDeduplicator
from streams.core.values import Changes, StrayMessage
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
BEFORE_STRAYS, AFTER_STRAYS = "flush.before_strays", "flush.after_strays"

Send = Callable[[Sequence[StrayMessage]], None]


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
    sink: Sink, spec: StreamSpec, settled: Sequence[Changes], send: Send, stored: Mapping[int, int] = NOTHING
) -> Iterator[str]:
    """A whole flush, step by step; yields the name of each failpoint before it passes it.

    `send` returns once strays are safe in the log; `stored` is the version of the progress that each
    partition must have by now. Raises SinkSetBack.
    """
    yield from row_steps(sink, spec, settled)
    if strays := strays_of(settled):
        yield BEFORE_STRAYS
        put_sending(sink, spec, settled)
        send(strays)
        yield AFTER_STRAYS
    yield from progress_steps(sink, spec, settled, stored)


def put_sending(sink: Sink, spec: StreamSpec, settled: Sequence[Changes]) -> None:
    """Say that strays are about to be sent, right before they are; SinkFenced: they must not be."""
    sink.put_sending(spec, [c for c in settled if c.strays])


def strays_of(settled: Sequence[Changes]) -> list[StrayMessage]:
    """All that is to be sent home."""
    return [message for changes in settled for message in changes.strays]


def row_steps(sink: Sink, spec: StreamSpec, settled: Sequence[Changes]) -> Iterator[str]:
    """What is written before anything else: all that counted here, or was refused."""
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


def progress_steps(
    sink: Sink, spec: StreamSpec, settled: Sequence[Changes], stored: Mapping[int, int] = NOTHING
) -> Iterator[str]:
    """What is written last, when all that the positions account for is safe; `stored` as for `steps`."""
    yield "flush.before_progress"
    check_not_set_back(sink, spec, stored)
    sink.put_progress(spec, settled)
    yield "flush.after_progress"


def go_through(steps_of: Callable[[], Iterator[str]], failpoint: Callable[[str], None]) -> None:
    """Take steps, made anew: safe to call again after any failure; `failpoint` is told each one passed."""
    for name in steps_of():
        failpoint(name)
