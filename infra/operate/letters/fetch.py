"""Making dead letters of what is only noted: read from Kafka while it keeps it, and refused once more.

Why an event is refused is a function of its message alone, so the letter is the one that its worker left out.
Nothing is marked: what is a letter is not noted any more, so a fetch that broke off is begun again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Protocol

from infra.kafka.access import KafkaFailureError
from sinks.letters import NotedMessage, Place, Selection
from streams.core.late import LateEvents
from streams.core.plain import PlainFold
from streams.core.records import pack
from streams.core.rows import Rows
from streams.core.rules import Rules
from streams.core.values import Changes, DeadLetter, Progress, RecordBatch
from streams.sink import Sink
from streams.spec import StreamSpec

# messages further apart are not read in one go; what is read and not stored yet is bounded
GAP, RUN = 2_000, 2_000
PORTION, PORTION_BYTES = 5_000, 8 << 20
UNLIMITED = 1 << 62
# failures in a row after which Kafka is not asked again
FAILURES = 3

Run = list[NotedMessage]


class LogSource(Protocol):
    """What reads a part of a log; raises KafkaFailureError."""

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[RecordBatch]:
        """The messages from `begin` to before `end`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one partition what Kafka keeps, from `start` to before `end`, and the epoch that this log has."""

    start: int
    end: int
    epoch: int


@dataclass(slots=True)
class FetchReport:
    """Events: fetched, gone from Kafka, and no longer refused; `failed` are parts that could not be read."""

    fetched: int = 0
    gone: int = 0
    accepted: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches what is noted; `wanted` are the indexes of a message to fetch, of those that are noted."""

    log: LogSource
    sink: Sink
    specs: Mapping[str, StreamSpec]
    rules: Rules
    kept: Callable[[str, int], Kept | None]
    wanted: Callable[[NotedMessage], frozenset[int]]

    def fetch(
        self, noted: Iterable[NotedMessage], selection: Selection, limit: int = UNLIMITED
    ) -> FetchReport:
        """Store at most so many letters, of those with the selected field and reason. Raises SinkError."""
        report, in_a_row = FetchReport(), 0
        for run in _runs(noted):
            there = [message for message in run if self._is_kept(message)]
            report.gone += self._events(run) - self._events(there)
            try:
                for letters in self._portions(there, report) if there else ():
                    chosen = [d for d in letters if _is_selected(d, selection)][: limit - report.fetched]
                    self._store(there[0], chosen)
                    report.fetched += len(chosen)
                    if report.fetched >= limit:
                        return report
                in_a_row = 0
            except KafkaFailureError as error:
                report.failed.append(str(error))
                in_a_row += 1
                if in_a_row == FAILURES:
                    break
        return report

    def _events(self, messages: Iterable[NotedMessage]) -> int:
        return sum(len(self.wanted(message)) for message in messages)

    def _is_kept(self, message: NotedMessage) -> bool:
        place, spec = message.place, self.specs.get(message.stream)
        if spec is None or spec.topic != place.topic:
            return False
        kept = self.kept(place.topic, place.partition)
        return kept is not None and kept.epoch == place.epoch and kept.start <= place.offset < kept.end

    def _portions(self, run: Run, report: FetchReport) -> Iterator[list[DeadLetter]]:
        """The letters of a run in the order of the log; counts what is gone, and what is refused no more."""
        left = {message.place.offset: message for message in run}
        topic, partition = run[0].place.topic, run[0].place.partition
        read, size = Run(), 0
        fold = self._fold(run[0])
        for batch in self.log.read(topic, partition, min(left), max(left) + 1):
            for offset, value in _messages(batch):
                message = left.get(offset)
                # another time is another log
                if message is None or message.append_ms != batch.append_ms:
                    continue
                read.append(left.pop(offset))
                fold.fold(pack(RecordBatch(offset, offset + 1, batch.append_ms, [value])))
                size += len(value or b"")
                if size >= PORTION_BYTES:
                    yield self._taken(fold, read, report)
                    fold, read, size = self._fold(message), [], 0
        yield self._taken(fold, read, report)
        report.gone += self._events(left.values())

    def _taken(self, fold: PlainFold, read: Run, report: FetchReport) -> list[DeadLetter]:
        """What a fold has refused of what is wanted of the messages read."""
        wanted = {message.place.offset: self.wanted(message) for message in read}
        letters, _ = fold.refusals.take()
        found = [letter for letter in letters if letter.index in wanted[letter.offset]]
        report.accepted += self._events(read) - len(found)
        return found

    def _fold(self, first: NotedMessage) -> PlainFold:
        """A fold that makes a letter of all that it refuses."""
        place, limits = first.place, replace(self.rules.limits, source_letters=UNLIMITED)
        progress = Progress(first.stream, place.topic, place.partition, place.epoch)
        return PlainFold(self.specs[first.stream], replace(self.rules, limits=limits), progress)

    def _store(self, first: NotedMessage, letters: Sequence[DeadLetter]) -> None:
        place, spec = first.place, self.specs[first.stream]
        progress = Progress(spec.name, place.topic, place.partition, place.epoch)
        for at in range(0, len(letters), PORTION):
            self.sink.put_dead(
                spec, [Changes(progress, Rows(), [], LateEvents(), list(letters[at : at + PORTION]))]
            )


def _runs(noted: Iterable[NotedMessage]) -> Iterator[Run]:
    """Messages of one partition and epoch that stand near each other, to be read in one go."""
    run = Run()
    for message in noted:
        if run and (len(run) == RUN or _is_far(run[-1].place, message.place)):
            yield run
            run = []
        run.append(message)
    if run:
        yield run


def _is_far(last: Place, place: Place) -> bool:
    same = (last.topic, last.partition, last.epoch) == (place.topic, place.partition, place.epoch)
    return not same or place.offset > last.offset + GAP


def _messages(batch: RecordBatch) -> Iterable[tuple[int, bytes | None]]:
    offsets = count(batch.base_offset) if batch.offsets is None else batch.offsets
    return zip(offsets, batch.values, strict=False)


def _is_selected(letter: DeadLetter, selection: Selection) -> bool:
    return selection.field in ("", letter.field) and selection.reason.lower() in letter.reason.lower()
