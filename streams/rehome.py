"""The seam to a fence around a stream's tables, and the only safe order to give its events other homes.

Fence, positions, replay, decision, progress: each rests on the one before it, and none is undone when it ends
there. Whoever runs it again makes the same rows again, of a log and of positions that nobody can have moved:
what is older than the fence is refused, and what is newer begins with the progress that is written last.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from streams.core.fold import Fold
from streams.core.home import Homes, newest
from streams.core.late import LateEvents
from streams.core.records import pack
from streams.core.rehoming import LAST_EPOCH, CannotRehome, Edge, Target, current
from streams.core.rows import Rows
from streams.core.values import Changes, Progress, RecordBatch, version_of
from streams.sink import Sink
from streams.spec import StreamSpec

ALL = range(1 << 16)

NewFold = Callable[[Progress], Fold]
Read = Callable[[Progress], Iterable[RecordBatch]]


class Fence(Protocol):
    """What of one stream's tables a rehoming needs beside its sink.

    Raises SinkUnavailable or SinkRejected, as a sink does; then begin the rehoming again.
    """

    def height(self) -> int:
        """The epoch below which rows are refused; 0 where there is no fence, the highest of the tables'."""

    def refuse_below(self, epoch: int) -> None:
        """Refuse rows of a lower epoch for good, and return when no insert from before is under way.

        Raises CannotRehome when one does not end.
        """

    def behind(self, edges: Collection[Edge]) -> set[int]:
        """The partitions of which something is stored that lies behind their edge."""

    def forget(self, edge: Edge) -> None:
        """Delete what is stored behind an edge."""

    def windows(self) -> tuple[int, int] | None:
        """The starts of the first and the last window that hold anything, in epoch milliseconds."""


def rehome(
    sink: Sink, fence: Fence, spec: StreamSpec, target: Target, new_fold: NewFold, read: Read
) -> Iterator[str]:
    """Give a stream's events other homes; yields the name of each step before it is taken.

    No worker may run. `read` gives a partition's log from its progress' `replay_from` to its `next_offset`.
    Raises CannotRehome; then workers go on as before.
    """
    yield "rehome.before_fence"
    every, known = sink.progress(spec.topic, ALL), sink.homes(spec.topic)
    before = max([0, *(p.epoch for p in every.values()), *(h.epoch for h in known)])
    if before >= LAST_EPOCH:
        raise CannotRehome(f"{spec.topic}: epoch {before} is the last one: fold into a new database")
    epoch = before + 1
    fence.refuse_below(epoch)
    yield "rehome.before_positions"
    # behind the fence: until then a worker may have moved them
    every, known = sink.progress(spec.topic, ALL), sink.homes(spec.topic)
    stored, now = current(every, known, target), newest(known, target.topic_id)
    _settle(fence, spec, now, stored, _edges(every, stored, target), epoch)
    moved = []
    for progress in stored.values():
        yield "rehome.before_replay"
        changes = _closed(new_fold(replace(progress, epoch=epoch)), progress, read)
        if changes.rows:
            sink.put_rows(spec, [changes])
        if changes.closed:
            sink.put_ids(spec, [changes])
        moved.append(Changes(_moved(changes.progress, progress, target), Rows(), [], LateEvents(), []))
    yield "rehome.before_homes"
    _decide(sink, spec, _next(spec, now, target, epoch, stored))
    _carry_past(sink, spec, stored, epoch)
    yield "rehome.before_progress"
    # of all partitions at once, so that none goes on by another decision than the others
    if moved:
        sink.put_progress(spec, moved)
    yield "rehome.after_progress"


def _edges(every: Mapping[int, Progress], stored: Mapping[int, Progress], target: Target) -> dict[int, Edge]:
    """What is accounted for of each partition; of one without progress nothing that its log still has."""
    edges = {p: Edge(p, (0, LAST_EPOCH), start) for p, start in enumerate(target.starts)}
    edges |= {p: Edge(p, (at.epoch + 1, LAST_EPOCH), 0) for p, at in every.items()}
    return edges | {p: Edge.of(at) for p, at in stored.items()}


def _settle(
    fence: Fence,
    spec: StreamSpec,
    now: Homes | None,
    stored: Mapping[int, Progress],
    edges: Mapping[int, Edge],
    epoch: int,
) -> None:
    """See that nothing is stored behind the edges, as it is of a worker that died in a flush.

    Other partitions may have had strays of that flush, and counted them: only a worker can go on from there.
    Where none were sent, it is as if the flush had never begun.
    """
    behind = sorted(fence.behind(edges.values()))
    sent = [p for p in behind if _forwards(stored.get(p), now)]
    begun = sent and fence.behind([Edge(p, (epoch, LAST_EPOCH), 0) for p in edges])
    if not sent or begun:
        for partition in behind:
            fence.forget(edges[partition])
        return
    fence.refuse_below(epoch - 1)
    raise CannotRehome(
        f"{spec.topic}[{sent[0]}]: a worker was killed in the middle of a flush, which only a worker can "
        "finish: start one, wait until it is ready, stop it with SIGTERM, and run this again"
    )


def _forwards(stored: Progress | None, now: Homes | None) -> bool:
    """Whether strays of a partition were sent home until now."""
    return stored.homes > 0 and stored.forward if stored else now is not None and now.forward


def _closed(fold: Fold, stored: Progress, read: Read) -> Changes:
    """All that was open at the stored position, made again and closed; with the progress that follows."""
    for batch in read(stored):
        fold.fold(pack(batch))
    if fold.replaying:
        # the last offsets hold no messages: markers of transactions, or what compaction has left out
        rest = RecordBatch(fold.position, stored.next_offset, stored.max_append_ms, [], [])
        fold.fold(pack(rest))
    fold.close_all()
    return fold.capture() or Changes(fold.progress, Rows(), [], LateEvents(), [])


def _moved(closed: Progress, stored: Progress, target: Target) -> Progress:
    """The progress by which a partition goes on.

    What was counted while homes were not known may have been away from home, unless there was but one.
    """
    unknown = stored.folded + stored.duplicates + stored.late
    away = unknown if not stored.homes and target.partitions > 1 else stored.away
    return replace(closed, homes=target.partitions, forward=target.forward, away=away)


def _next(
    spec: StreamSpec, now: Homes | None, target: Target, epoch: int, stored: Mapping[int, Progress]
) -> Homes:
    """The decision that follows on what held when the positions were read."""
    offsets = tuple(stored[p].next_offset if p in stored else 0 for p in range(max(stored, default=-1) + 1))
    change = now.change + 1 if now else 0
    return Homes(spec.topic, target.topic_id, change, target.partitions, target.forward, epoch, offsets)


def _carry_past(sink: Sink, spec: StreamSpec, stored: Mapping[int, Progress], epoch: int) -> None:
    """What a resumed stream was to skip behind the positions is skipped in the new epoch too."""
    breaker = sink.breakers().get(spec.name)
    if breaker is None:
        return
    ahead = {p: past for p, past in breaker.past.items() if p in stored and _is_ahead(past, stored[p])}
    past = {p: version_of(epoch, at & version_of(1, 0) - 1) for p, at in ahead.items()}
    if past:
        # two changes: what is paused stays so
        sink.put_breaker(replace(breaker, changes=breaker.changes + 2, past={**breaker.past, **past}))


def _is_ahead(past: int, stored: Progress) -> bool:
    return stored.version < past < version_of(stored.epoch + 1, 0)


def _decide(sink: Sink, spec: StreamSpec, homes: Homes) -> None:
    """Store a decision; raises CannotRehome where another was first."""
    sink.put_homes(homes)
    if newest(sink.homes(spec.topic), homes.topic_id) != homes:
        raise CannotRehome(
            f"{spec.topic}: another rehoming runs at the same time: let one end, and run this again"
        )
