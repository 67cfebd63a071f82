"""The contract of exactness as a state machine: one partition's log, a store, and workers that die.

Any interleaving of messages, flush steps, crashes, zombies that wake, and starts from progress that is
out of date ends with the totals of the distinct valid events, and with the counters of a worker that
read the log once without any of it.
"""

from collections import Counter
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from sinks.memory import MemorySink
from streams.catalog.camera import SPEC
from streams.core.late_duplicates import LateDeduplicator
from streams.core.plain import PlainFold
from streams.core.records import pack
from streams.core.rules import Rules
from streams.core.values import Changes, Progress, RecordBatch
from streams.worker.flush.steps import Send, drop_late_duplicates, steps
from tests.support.engines import ENGINES, NewState, engine
from tests.support.events import batch, camera_event, message
from tests.support.oracle import events_of, totals
from tests.support.strays import none_sent

RULES = Rules(disorder_ms=60_000, skew_ms=30_000)
ORIGIN = Progress(SPEC.name, SPEC.topic, 0)


class Worker:
    """One worker of the partition: folds the log from its own position, and flushes a step at a time."""

    def __init__(
        self,
        sink: MemorySink,
        progress: Progress,
        new_state: NewState = PlainFold,
        send: Send = none_sent,
    ) -> None:
        self.sink, self.send = sink, send
        self.state = new_state(SPEC, RULES, progress)
        # a cache of a few panes, so that both the cache and the look-up are met
        self.deduplicator = LateDeduplicator(capacity=60)
        self.flush: Iterator[str] = iter(())

    def fold(self, log: list[RecordBatch], most: int) -> None:
        """Fold up to so many batches."""
        for b in [b for b in log if b.next_offset > self.state.position][:most]:
            self.state.fold(pack(b))

    def step(self) -> bool:
        """One step of the flush under way, or the first of a new one; whether there was anything to do."""
        if next(self.flush, None) is not None:
            return True
        changes = self.state.capture()
        if changes is None:
            return False
        self.flush = self._flush(changes)
        return True

    def _flush(self, changes: Changes) -> Iterator[str]:
        yield "settle"
        settled = drop_late_duplicates(self.sink, [(self.deduplicator, changes)])
        yield from steps(self.sink, SPEC, settled, self.send)


class Exactness(RuleBasedStateMachine):
    """Producers, workers and their crashes, in any order."""

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.sink = MemorySink()
        self.log: list[RecordBatch] = []
        self.sent: list[dict[str, object]] = []
        self.now_s = 0.0
        self.stored = [ORIGIN]

    @rule(
        passed=st.floats(0, 90),
        events=st.lists(
            st.tuples(st.integers(0, 400), st.sampled_from(["cam-1", "cam-2"]), st.integers(1, 9)),
            min_size=1, max_size=6,
        ),
        repeats=st.lists(st.integers(0, 10**6), max_size=4),
        garbage=st.booleans(),
        bundled=st.booleans(),
    )  # fmt: skip
    def produce(
        self,
        passed: float,
        events: list[tuple[int, str, int]],
        repeats: list[int],
        garbage: bool,
        bundled: bool,
    ) -> None:
        """A record batch of events up to minutes old, with some sent before, and perhaps garbage."""
        self.now_s += passed
        new = [
            camera_event(f"e{len(self.sent)}-{i}", self.now_s - age / 2 + 10, camera_id=camera, count=n)
            for i, (age, camera, n) in enumerate(events)
        ]
        self.sent += new
        again = [self.sent[i % len(self.sent)] for i in repeats]
        values = [message(*new, *again)] if bundled else [message(e) for e in (*again, *new)]
        if garbage:
            values.insert(len(values) // 2, b'{"event_id":')
        self.log.append(batch(self.log[-1].next_offset if self.log else 0, self.now_s, values))

    @rule(target=workers, back=st.integers(0, 3), engine_name=st.sampled_from(ENGINES))
    def start(self, back: int, engine_name: str) -> Worker:
        """A worker of either engine starts from the progress that it reads, which may be out of date."""
        stored = self.stored[max(0, len(self.stored) - 1 - back)]
        return Worker(self.sink, stored, engine(engine_name))

    @rule(worker=workers, most=st.integers(1, 4))
    def fold(self, worker: Worker, most: int) -> None:
        """A worker, perhaps a zombie, reads on."""
        worker.fold(self.log, most)

    @rule(worker=workers, count=st.integers(1, 8))
    def flush(self, worker: Worker, count: int) -> None:
        """A worker flushes a few steps further."""
        for _ in range(count):
            worker.step()
        self._note_progress()

    @rule(worker=consumes(workers))
    def crash(self, worker: Worker) -> None:
        """A worker is gone, wherever it was."""

    def _note_progress(self) -> None:
        latest = self.sink.progress(SPEC.topic, [0]).get(0, ORIGIN)
        assert latest.version >= self.stored[-1].version, "stored progress went back"
        if latest != self.stored[-1]:
            self.stored.append(latest)

    def teardown(self) -> None:
        """A last worker reads to the end; then everything must add up."""
        last = Worker(self.sink, self.stored[-1])
        last.fold(self.log, len(self.log))
        while last.step():
            pass
        self._compare_totals()
        self._compare_counters()

    def _compare_totals(self) -> None:
        values = [value for b in self.log for value in b.values]
        found: Counter[tuple[object, object, str]] = Counter()
        for row in self.sink.rows(SPEC).values():
            named = dict(zip(SPEC.columns, row, strict=True))
            if not named["events"]:
                continue
            found[named["window_start"], named["camera_id"], "events"] += named["events"]  # type: ignore[operator]
            found[named["window_start"], named["camera_id"], "objects"] += named["objects"]  # type: ignore[operator]
        expected = {
            (*key, name): number
            for key, numbers in totals(values).items()
            for name, number in zip(("events", "objects"), numbers, strict=True)
        }
        assert dict(found) == expected

    def _compare_counters(self) -> None:
        if not self.log:
            return
        once = Worker(MemorySink(), ORIGIN)
        once.fold(self.log, len(self.log))
        while once.step():
            pass
        progress = self.sink.progress(SPEC.topic, [0])[0]
        assert progress == once.sink.progress(SPEC.topic, [0])[0]
        read = sum(len(events_of(v)) or 1 for b in self.log for v in b.values)
        assert progress.folded + progress.duplicates + progress.late + progress.dead == read
        assert progress.folded + progress.late == len(self.sent)


TestExactness = Exactness.TestCase
TestExactness.settings = settings(max_examples=60, stateful_step_count=40)
