"""The contract of exactness over several partitions: whoever sends an event to wherever, it counts once.

Events go to any partition, alone and in bundles of mixed homes, and are repeated anywhere; workers die in any
step, zombies wake, and starts are from progress that is out of date.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from sinks.memory import MemorySink
from streams.catalog.camera import SPEC
from streams.core.home import partition_of
from streams.core.values import Progress, RecordBatch, StrayMessage
from tests.property.test_exactness import Worker
from tests.support.engines import ENGINES, engine
from tests.support.events import batch, camera_event, message
from tests.support.oracle import events_of, totals

# homes among fewer partitions than there are: one was added later
PARTITIONS, HOMES = 3, 2
CAMERAS = [f"cam-{n}" for n in range(1, 6)]
ANY = st.integers(0, PARTITIONS - 1)


def origin(partition: int) -> Progress:
    """Of a partition of which nothing is stored."""
    return Progress(SPEC.name, SPEC.topic, partition, homes=HOMES)


class Strays(RuleBasedStateMachine):
    """Producers, workers and their crashes, in any order."""

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.sink = MemorySink()
        self.logs: list[list[RecordBatch]] = [[] for _ in range(PARTITIONS)]
        self.sent: list[dict[str, object]] = []
        self.now_s = 0.0
        self.stored = [[origin(p)] for p in range(PARTITIONS)]

    @rule(
        passed=st.floats(0, 90),
        partition=ANY,
        events=st.lists(
            st.tuples(st.integers(0, 400), st.sampled_from(CAMERAS), st.integers(1, 9)),
            min_size=1, max_size=6,
        ),
        garbage=st.booleans(),
        bundled=st.booleans(),
    )  # fmt: skip
    def produce(
        self, passed: float, partition: int, events: list[tuple[int, str, int]], garbage: bool, bundled: bool
    ) -> None:
        """New events up to minutes old, all in one partition, and perhaps garbage."""
        self.now_s += passed
        new = [
            camera_event(f"e{len(self.sent)}-{i}", self.now_s - age / 2 + 10, camera_id=camera, count=n)
            for i, (age, camera, n) in enumerate(events)
        ]
        self.sent += new
        values = [message(*new)] if bundled else [message(e) for e in new]
        self.append(partition, [*values, b'{"event_id":'] if garbage else values)

    @rule(partition=ANY, which=st.lists(st.integers(0, 10**6), min_size=1, max_size=8), bundled=st.booleans())
    def repeat(self, partition: int, which: list[int], bundled: bool) -> None:
        """Events of before once more, anywhere and in any order."""
        again = [self.sent[i % len(self.sent)] for i in which if self.sent]
        if again:
            self.append(partition, [message(*again)] if bundled else [message(e) for e in again])

    @rule(target=workers, partition=ANY, back=st.integers(0, 3), engine_name=st.sampled_from(ENGINES))
    def start(self, partition: int, back: int, engine_name: str) -> Worker:
        """A worker of a partition starts from the progress that it reads, which may be out of date."""
        stored = self.stored[partition]
        return Worker(self.sink, stored[max(0, len(stored) - 1 - back)], engine(engine_name), self.send)

    @rule(worker=workers, most=st.integers(1, 4))
    def fold(self, worker: Worker, most: int) -> None:
        """A worker, perhaps a zombie, reads on."""
        worker.fold(self.logs[worker.state.progress.partition], most)

    @rule(worker=workers, count=st.integers(1, 10))
    def flush(self, worker: Worker, count: int) -> None:
        """A worker flushes a few steps further."""
        for _ in range(count):
            worker.step()
        self._note_progress()

    @rule(worker=consumes(workers))
    def crash(self, worker: Worker) -> None:
        """A worker is gone, wherever it was."""

    def append(self, partition: int, values: list[bytes]) -> None:
        """One more record batch."""
        log = self.logs[partition]
        log.append(batch(log[-1].next_offset if log else 0, self.now_s, values))

    def send(self, strays: list[StrayMessage]) -> None:
        """What a worker sends home, the last message first: nothing hangs on their order."""
        for stray in reversed(strays):
            homes = {partition_of(str(e["camera_id"]).encode(), HOMES) for e in events_of(stray.value)}
            assert homes == {stray.home}, "a message of strays with another home"
            self.append(stray.home, [stray.value])

    def _note_progress(self) -> None:
        for partition, known in enumerate(self.stored):
            latest = self.sink.progress(SPEC.topic, [partition]).get(partition, known[0])
            assert latest.version >= known[-1].version, "stored progress went back"
            if latest != known[-1]:
                known.append(latest)

    def teardown(self) -> None:
        """Last workers read all to the end, strays of each other too; then everything must add up."""
        self._note_progress()
        last = [Worker(self.sink, known[-1], send=self.send) for known in self.stored]
        # a stray is sent once: what came home is at home
        for _ in range(2):
            for worker, log in zip(last, self.logs, strict=True):
                worker.fold(log, len(log))
                while worker.step():
                    pass
        self._compare_totals()
        self._compare_counters()

    def _compare_totals(self) -> None:
        found: Counter[tuple[object, object, str]] = Counter()
        for row in self.sink.rows(SPEC).values():
            named = dict(zip(SPEC.columns, row, strict=True))
            for name in ("events", "objects"):
                found[named["window_start"], named["camera_id"], name] += named[name]  # type: ignore[operator]
        expected = {
            (*key, name): number
            for key, numbers in totals(message(e) for e in self.sent).items()
            for name, number in zip(("events", "objects"), numbers, strict=True)
        }
        assert {key: number for key, number in found.items() if number} == expected

    def _compare_counters(self) -> None:
        """Each partition balances, and all of them together counted each event once."""
        counted = 0
        for partition, log in enumerate(self.logs):
            p = self.sink.progress(SPEC.topic, [partition]).get(partition, origin(partition))
            read = sum(len(events_of(v)) or 1 for b in log for v in b.values)
            assert p.folded + p.duplicates + p.late + p.dead + p.strays == read
            assert p.away == 0
            counted += p.folded + p.late
        assert counted == len(self.sent)


TestStrays = Strays.TestCase
TestStrays.settings = settings(max_examples=60, stateful_step_count=50)
