"""Other homes for the events of topics: whether they need any, what may be rehomed, and the run itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from infra.kafka.admin import Admin, Topic
from infra.kafka.reader import LogReader
from streams.core.fold import Fold
from streams.core.home import Homes, newest
from streams.core.rehoming import CannotRehome, Target, current, reason
from streams.core.rules import Rules
from streams.core.values import Progress, RecordBatch
from streams.engine import FoldEngine
from streams.kafka_access import KafkaAccess
from streams.rehome import ALL, Fence, rehome
from streams.sink import Sink
from streams.spec import StreamSpec
from streams.worker.recover.resume import recreated
from streams.worker.values import LogBounds

Advance = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class TopicHomes:
    """How a topic's events find their homes: what held, what is to hold, and why it has to change.

    `reason` is empty where it is fine as it is. `offsets` is how much of the log is read again; `gaps` are
    partitions of which Kafka no longer has all that would be.
    """

    spec: StreamSpec
    before: Homes | None
    target: Target
    reason: str
    offsets: int
    gaps: frozenset[int]


@dataclass(frozen=True, slots=True)
class Rehomed:
    """What has become of a topic: its new homes, None where it has those that it had.

    `windows` are the starts of the first and the last window that were counted before, None where none was.
    """

    found: TopicHomes
    now: Homes | None = None
    windows: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Rehomer:
    """What rehomes topics: their store, their log, and the rules that workers fold by."""

    sink: Sink
    fence: Callable[[StreamSpec], Fence]
    kafka: KafkaAccess
    engine: FoldEngine
    rules: Rules
    unpack_bytes: int

    def look(self, topic: Topic, spec: StreamSpec, forward: bool, *, accept_gap: bool = False) -> TopicHomes:
        """Whether a topic needs other homes; raises CannotRehome where it does and can't be given any."""
        known, stored = self.sink.homes(spec.topic), self.sink.progress(spec.topic, ALL)
        with Admin(self.kafka) as admin, LogReader(self.kafka) as reader:
            bounds = _bounds(admin, reader, topic, stored)
        target = Target(topic.id, tuple(bounds[p].start for p in range(topic.partitions)), forward)
        held = current(stored, known, target)
        why = reason(known, list(held.values()), self.fence(spec).height(), target)
        gaps = {p for p, at in held.items() if p in bounds and at.replay_from < _begin(at, bounds[p])}
        for progress in held.values() if why else ():
            self._check(progress, bounds.get(progress.partition))
            if progress.partition in gaps and not accept_gap:
                raise CannotRehome(_gap(progress, bounds[progress.partition]))
        offsets = sum(at.next_offset - at.replay_from for p, at in held.items() if p not in gaps)
        return TopicHomes(spec, newest(known, topic.id), target, why, offsets, frozenset(gaps))

    def rehome(self, found: TopicHomes, advance: Advance) -> Rehomed:
        """Give a topic its new homes; raises CannotRehome, KafkaFailureError and SinkErrors.

        It may be run again after any of these, and after having been killed.
        """
        for _ in self.steps(found, advance):
            pass
        spec = found.spec
        decided = newest(self.sink.homes(spec.topic), found.target.topic_id)
        if decided is None:
            raise CannotRehome(f"{spec.topic}: what was decided is not in the store: run this again")
        return Rehomed(found, decided, self.fence(spec).windows())

    def steps(self, found: TopicHomes, advance: Advance) -> Iterator[str]:
        """The same step by step; yields the name of each before it is taken."""
        spec = found.spec
        with LogReader(self.kafka, self.unpack_bytes) as reader:

            def new_fold(progress: Progress) -> Fold:
                return self.engine.new_fold(spec, self.rules, _without(progress, found.gaps))

            def read(progress: Progress) -> Iterator[RecordBatch]:
                at = _without(progress, found.gaps).replay_from
                for batch in reader.read(progress.topic, progress.partition, at, progress.next_offset):
                    yield batch
                    advance(batch.next_offset - at)
                    at = batch.next_offset

            yield from rehome(self.sink, self.fence(spec), spec, found.target, new_fold, read)

    def _check(self, progress: Progress, log: LogBounds | None) -> None:
        place = _place(progress)
        if log is None or recreated(progress, log):
            raise CannotRehome(
                f"{place}: folded up to offset {progress.next_offset}, but Kafka's log is another one: start "
                f"workers with SONGLO_EPOCH={progress.epoch + 1} to count it as well, then run this again"
            )
        if progress.pane_ms != self.rules.pane_ms:
            raise CannotRehome(
                f"{place}: its windows are stored in panes of {progress.pane_ms // 1000} s, but "
                f"SONGLO_WINDOW_SECONDS is {self.rules.pane_ms // 1000}: set it to what the workers have"
            )


def _bounds(
    admin: Admin, reader: LogReader, topic: Topic, stored: Mapping[int, Progress]
) -> dict[int, LogBounds]:
    """What Kafka holds of each partition."""
    starts, ends = admin.starts([topic.name]), admin.ends([topic.name])
    numbers = range(topic.partitions)
    # where both ids are known, times tell nothing more
    doubtful = {p for p in numbers if p in stored and not (topic.id and stored[p].topic_id)}
    news = reader.first_since({(topic.name, p): stored[p].max_append_ms + 1 for p in doubtful})
    return {
        p: LogBounds(starts[topic.name, p], ends[topic.name, p], news.get((topic.name, p)), topic.id)
        for p in numbers
    }


def _begin(progress: Progress, log: LogBounds) -> int:
    """Where what is to be read again begins; nothing is missing of a partition without open windows."""
    return min(log.start, progress.next_offset)


def _without(progress: Progress, gaps: frozenset[int]) -> Progress:
    """Where Kafka no longer has the beginning of open windows, they are left as they are stored."""
    return replace(progress, replay_from=progress.next_offset) if progress.partition in gaps else progress


def _gap(progress: Progress, log: LogBounds) -> str:
    return (
        f"{_place(progress)}: must read again from offset {progress.replay_from}, but Kafka's log starts at "
        f"{log.start}: events of the windows open then can't be told from their repeats. Restore the log, or "
        "accept the gap: songlo topics --rehome --accept-gap"
    )


def _place(progress: Progress) -> str:
    return f"{progress.topic}[{progress.partition}]"
