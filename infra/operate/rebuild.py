"""Past windows folded again from Kafka: what may be rebuilt, from which offsets, and the run itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.kafka.admin import Admin
from infra.kafka.reader import LogReader
from infra.operate.times import clock_text
from streams.core.rebuild import Span, first_open
from streams.core.rules import Rules
from streams.core.values import Progress, RecordBatch
from streams.kafka_access import KafkaAccess
from streams.shadow import CannotRebuild, Shadow, fill
from streams.sink import Sink
from streams.spec import StreamSpec
from streams.worker.client.decompress import UNPACK_BYTES
from streams.worker.recover.resume import recreated
from streams.worker.values import LogBounds

Advance = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class PartitionLog:
    """What Kafka holds of a partition; `since` is the first offset that can matter, None when none can."""

    bounds: LogBounds
    since: int | None


@dataclass(frozen=True, slots=True)
class RebuildPart:
    """One partition's share of a rebuild: the log from `begin` to where the stored progress is."""

    progress: Progress
    begin: int

    @property
    def offsets(self) -> int:
        """How many offsets there are to read."""
        return self.progress.next_offset - self.begin


def parts(
    stored: Mapping[int, Progress],
    logs: Mapping[int, PartitionLog],
    span: Span,
    rules: Rules,
    *,
    accept_gap: bool,
) -> list[RebuildPart]:
    """What to read of each partition that has folded anything; raises CannotRebuild."""
    folded = [p for _, p in sorted(stored.items()) if p.max_event_ms]
    if not folded:
        raise CannotRebuild("nothing of this stream is stored yet: there is nothing to rebuild")
    for progress in folded:
        if progress.pane_ms != rules.pane_ms:
            raise CannotRebuild(
                f"{_place(progress)}: its windows are stored in panes of {progress.pane_ms // 1000} s, but "
                f"SONGLO_WINDOW_SECONDS is {rules.pane_ms // 1000}: set it to what the workers have"
            )
    _check_closed(folded, span)
    return [
        RebuildPart(p, _begin(p, logs[p.partition], accept_gap))
        for p in folded
        if p.partition in logs or not _gone(p, accept_gap)
    ]


def logs_of(
    kafka: KafkaAccess, stored: Mapping[int, Progress], span: Span, rules: Rules
) -> dict[int, PartitionLog]:
    """What Kafka holds of each partition; no event of the span lies before its `since`.

    An event is not taken when it is further ahead of its append time than the skew allows, so what was
    appended that long before the span can't belong to it. Raises KafkaFailureError.
    """
    topics = {p.topic for p in stored.values()}
    with Admin(kafka) as admin, LogReader(kafka) as reader:
        starts, ends = admin.starts(topics), admin.ends(topics)
        there = [p for p in stored.values() if (p.topic, p.partition) in ends]
        since = reader.first_since(
            {(p.topic, p.partition): max(0, span.start_ms - rules.skew_ms) for p in there}
        )
        news = reader.first_since({(p.topic, p.partition): p.max_append_ms + 1 for p in there})
    places = {p.partition: (p.topic, p.partition) for p in there}
    return {p: PartitionLog(LogBounds(starts[at], ends[at], news[at]), since[at]) for p, at in places.items()}


def rebuild(
    kafka: KafkaAccess,
    sink: Sink,
    shadow: Shadow,
    spec: StreamSpec,
    rules: Rules,
    span: Span,
    chosen: Sequence[RebuildPart],
    advance: Advance,
    *,
    accept_gap: bool = False,
    unpack_bytes: int = UNPACK_BYTES,
) -> None:
    """Rebuild the chosen parts into the shadow, one partition after the other.

    Raises CannotRebuild, KafkaFailureError, SinkUnavailable or SinkRejected; nothing has changed then.
    """
    begins = {part.progress.partition: part.begin for part in chosen}
    with LogReader(kafka, unpack_bytes) as reader:

        def read(progress: Progress) -> Iterator[RecordBatch]:
            at = begins[progress.partition]
            for batch in reader.read(progress.topic, progress.partition, at, progress.next_offset):
                yield batch
                advance(batch.next_offset - at)
                at = batch.next_offset

        for part in chosen:
            for _ in fill(sink, shadow, spec, rules, span, part.progress, read, accept_gap=accept_gap):
                pass


def _check_closed(folded: Sequence[Progress], span: Span) -> None:
    held = [(at, p) for p in folded if (at := first_open(p, span)) is not None]
    if held:
        at, progress = min(held, key=lambda pair: (pair[0], pair[1].partition))
        raise CannotRebuild(
            f"{_place(progress)} has not closed the window of {clock_text(at)} (its watermark is "
            f"{clock_text(progress.watermark_ms)}): rebuild windows before that, --to '{clock_text(at)}'"
        )


def _gone(progress: Progress, accept_gap: bool) -> bool:
    """Whether to leave out a partition that Kafka no longer has; raises CannotRebuild."""
    if accept_gap:
        return True
    raise CannotRebuild(
        f"{_place(progress)}: Kafka no longer has this partition; its windows can be left as they are: "
        "--accept-gap"
    )


def _begin(progress: Progress, log: PartitionLog, accept_gap: bool) -> int:
    start, end = log.bounds.start, log.bounds.end
    if recreated(progress, log.bounds):
        raise CannotRebuild(
            f"{_place(progress)}: folded up to offset {progress.next_offset}, but Kafka's log is another one "
            f"(offsets {start} to {end}): these windows can't be rebuilt from it"
        )
    begin = end if log.since is None else log.since
    # the log is whole where what it still has begins before what can matter
    if start > 0 and begin <= start and not accept_gap:
        raise CannotRebuild(
            f"{_place(progress)}: Kafka's log starts at offset {start}, and events of these windows may have "
            "been before it: a rebuild would lose them. Choose later windows, or accept it: --accept-gap"
        )
    return min(max(begin, start), progress.next_offset)


def _place(progress: Progress) -> str:
    return f"{progress.topic}[{progress.partition}]"
