"""Dead letters made of what is only noted: exactly those that a worker without shares would have written."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from infra.kafka.access import KafkaFailureError
from infra.operate.letters.fetch import GAP, Fetcher, FetchReport, Kept
from sinks.letter_memory import MemoryLetters
from sinks.letters import NotedMessage, Selection
from sinks.memory import MemorySink
from streams.core.limits import Limits
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress, RecordBatch
from streams.registry import load_streams
from tests.support.events import T0_MS, camera_event, message, packed

SPEC = load_streams()["camera"]
RULES = Rules(limits=Limits(source_letters=2))
PARTITION = 3
APPEND_MS = T0_MS + 10_000


@dataclass(slots=True)
class Log:
    """One partition's log: a value at each offset from 0 on, read in batches of ten."""

    values: list[bytes | None]
    append_ms: int = APPEND_MS
    broken: set[int] = field(default_factory=set)
    read_offsets: int = 0

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[RecordBatch]:
        assert (topic, partition) == (SPEC.topic, PARTITION)
        for first in range(begin, min(end, len(self.values)), 10):
            values = self.values[first : min(end, first + 10)]
            if self.broken & {*range(first, first + len(values))}:
                raise KafkaFailureError(f"offset {first} can't be read")
            self.read_offsets += len(values)
            yield RecordBatch(first, first + len(values), self.append_ms, values)


def bundle(first: int, bad: int) -> bytes:
    """A message of so many wrong events, a good one, and one from the future."""
    wrong = [camera_event(f"e{first + n}", 1, kind="xe") for n in range(bad)]
    return message(*wrong, camera_event(f"g{first}", 1), camera_event(f"f{first}", 9999))


LOG: list[bytes | None] = [
    b"{",
    bundle(0, 5),
    None,
    message(camera_event("good", 2)),
    *[b"\xff"] * 20,
    bundle(9, 3),
]


def folded(rules: Rules, epoch: int = 0) -> MemorySink:
    """A sink that a worker has flushed the log to; all its messages have one key."""
    sink, state = MemorySink(), PlainFold(SPEC, rules, Progress("camera", SPEC.topic, PARTITION, epoch))
    state.fold(packed(0, len(LOG), APPEND_MS, LOG, None, [b"gw"] * len(LOG)))
    changes = state.capture()
    assert changes is not None
    for put in (sink.put_dead, sink.put_noted, sink.put_progress):
        put(SPEC, [changes])
    return sink


def fetcher(sink: MemorySink, log: Log, kept: Kept | None = None) -> Fetcher:
    """It wants all that is noted."""
    there = kept or Kept(0, len(log.values), 0)
    return Fetcher(log, sink, {"camera": SPEC}, RULES, lambda topic, p: there, lambda noted: noted.indexes)


def fetch(
    sink: MemorySink, log: Log | None = None, *, kept: Kept | None = None, limit: int = 1 << 62, **by: str
) -> FetchReport:
    """What one fetch does."""
    selection, log = Selection(**by), log or Log(LOG)  # type: ignore[arg-type] # texts
    return fetcher(sink, log, kept).fetch(MemoryLetters(sink).noted(selection), selection, limit)


def test_what_is_fetched_is_what_would_have_been_written() -> None:
    """Reason, field and bytes, at the same places; the second time there is nothing to do."""
    sink, wanted = folded(RULES), folded(Rules()).dead_letters(SPEC.topic, PARTITION)
    assert len(sink.dead_letters(SPEC.topic, PARTITION)) == 2
    assert fetch(sink) == FetchReport(fetched=len(wanted) - 2)
    assert sink.dead_letters(SPEC.topic, PARTITION) == wanted
    assert len(wanted) == 32
    assert MemoryLetters(sink).count_noted(Selection()) == 0
    assert fetch(sink) == FetchReport()


def test_in_portions_and_only_those_that_are_wanted() -> None:
    """So many, in the order of the log; or those with a reason."""
    sink = folded(RULES)
    assert fetch(sink, limit=3) == FetchReport(fetched=3)
    assert [(d.offset, d.index) for d in sink.dead_letters(SPEC.topic, PARTITION)] == [
        (0, 0), (1, 0), (1, 1), (1, 2), (1, 3),
    ]  # fmt: skip
    assert fetch(sink, field="occurred_at", reason="AHEAD of") == FetchReport(fetched=2)
    assert fetch(sink, stream="qr") == FetchReport()
    assert fetch(sink) == FetchReport(fetched=25)


@pytest.mark.parametrize(
    ("log", "kept", "gone"),
    [
        (Log(LOG), Kept(5, len(LOG), 0), 7),  # the beginning was deleted
        (Log(LOG), Kept(0, 4, 0), 24),  # it was cut
        (Log(LOG), Kept(0, len(LOG), 1), 30),  # the topic was created anew, and its epoch raised
        (Log(LOG, append_ms=APPEND_MS + 1), None, 30),  # … and not yet noticed by any worker
        (Log(LOG[:4]), Kept(0, len(LOG), 0), 24),
    ],
)
def test_what_kafka_has_no_more_is_counted_and_stays_noted(log: Log, kept: Kept | None, gone: int) -> None:
    """Nothing that stands there now is taken for it."""
    sink = folded(RULES)
    assert fetch(sink, log, kept=kept) == FetchReport(fetched=30 - gone, gone=gone)
    assert MemoryLetters(sink).count_noted(Selection()) == gone


def test_what_is_not_refused_any_more_is_said() -> None:
    """A definition takes by now what it refused."""
    sink, better = folded(RULES), [*LOG]
    better[10] = message(camera_event("good", 3))
    assert fetch(sink, Log(better)) == FetchReport(fetched=29, accepted=1)


def noted(offset: int) -> NotedMessage:
    """One event at an offset."""
    (first, *_) = MemoryLetters(folded(RULES)).noted(Selection())
    return replace(first, place=replace(first.place, offset=offset), indexes=frozenset({0}))


def test_what_stands_far_apart_is_not_read_in_one_go() -> None:
    """Of a long log only what is near."""
    log = Log([b"{"] * (5 * GAP))
    far = [noted(offset) for offset in (0, 1, 3 * GAP, 3 * GAP + 5)]
    assert fetcher(MemorySink(), log).fetch(far, Selection()) == FetchReport(fetched=4)
    assert log.read_offsets == 2 + 6


def test_a_part_that_can_not_be_read_is_left_and_kafka_is_not_asked_for_ever() -> None:
    """The others are fetched; after three in a row it gives up."""
    log = Log([b"{"] * (12 * GAP), broken={2 * GAP})
    apart = [noted(n * 2 * GAP) for n in range(3)]
    report = fetcher(MemorySink(), log).fetch(apart, Selection())
    assert report == FetchReport(fetched=2, failed=[f"offset {2 * GAP} can't be read"])
    log.broken = {*range(len(log.values))}
    assert (
        len(fetcher(MemorySink(), log).fetch([noted(n * 2 * GAP) for n in range(6)], Selection()).failed) == 3
    )
