"""Homes that change while events, repeats and strays are anywhere, also in the middle of flushes.

At any moment somebody tries to rehome, to any number of homes, and may be gone after any step. Workers of
before go on as zombies, and are stopped by the fence.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple, rule

from sinks.memory_fence import MemoryFence
from streams.catalog.camera import SPEC
from streams.core.home import Homes, at_offset, newest, partition_of
from streams.core.plain import PlainFold
from streams.core.rehoming import CannotRehome, Target, reason
from streams.core.values import Progress, RecordBatch, StrayMessage
from streams.rehome import ALL, rehome
from streams.sink import SinkFenced
from tests.property.test_exactness import RULES, Worker
from tests.property.test_strays import ANY, HOMES, PARTITIONS, Strays
from tests.support.engines import ENGINES, engine
from tests.support.oracle import events_of

FIRST = Homes(SPEC.topic, "", 0, HOMES, True)
TARGETS = st.builds(Target, st.just(""), st.integers(1, PARTITIONS).map(lambda n: (0,) * n), st.booleans())


class Mortal(Worker):
    """A worker that the fence ends."""

    ended = False

    def step(self) -> bool:
        """One step; whether there was anything to do."""
        if self.ended:
            return False
        try:
            return super().step()
        except SinkFenced:
            self.ended = True
            return False


class Rehomings(Strays):
    """The machine of strays, with rehomings."""

    workers = Bundle("workers")
    rehomings = Bundle("rehomings")

    def __init__(self) -> None:
        super().__init__()
        self.sink.put_homes(FIRST)
        self.fence = MemoryFence(self.sink, SPEC)
        self.copies = Counter[str]()
        self.forwarding = False

    @property
    def now(self) -> Homes:
        """The newest decision."""
        found = newest(self.sink.homes(SPEC.topic), "")
        assert found
        return found

    @property
    def agreed(self) -> bool:
        """Whether workers would start: all partitions go by the newest decision."""
        stored, now = self.sink.progress(SPEC.topic, ALL).values(), self.now
        return all((p.homes, p.forward) == (now.partitions, now.forward) for p in stored)

    def append(self, partition: int, values: list[bytes]) -> None:
        """One more record batch; how often producers have sent each event is counted."""
        super().append(partition, values)
        if not self.forwarding:
            self.copies.update(str(e["event_id"]) for v in values for e in events_of(v))

    def send(self, strays: list[StrayMessage]) -> None:
        """What a worker sends home, by the decision that it knows."""
        self.forwarding = True
        for stray in reversed(strays):
            cameras = [str(e["camera_id"]).encode() for e in events_of(stray.value)]
            known = {h.partitions for h in self.sink.homes(SPEC.topic)}
            assert any({partition_of(c, n) for c in cameras} == {stray.home} for n in known)
            self.append(stray.home, [stray.value])
        self.forwarding = False

    @rule(target=workers, partition=ANY, back=st.integers(0, 3), engine_name=st.sampled_from(ENGINES))
    def start(self, partition: int, back: int, engine_name: str) -> object:
        """A worker of a partition starts from the progress that it reads, which may be out of date."""
        if not self.agreed:
            return multiple()
        stored = self.stored[partition]
        found = stored[max(0, len(stored) - 1 - back)]
        return Mortal(self.sink, self._begun(found), engine(engine_name), self.send)

    @rule(target_homes=TARGETS)
    def as_it_is_meant(self, target_homes: Target) -> None:
        """Workers stop as they should, and somebody rehomes; those that are frozen wake later."""
        if self.agreed and self.fence.height() <= self.now.epoch:
            self._finish()
            for _ in self.begin(target_homes):
                pass
            self._note_progress()

    @rule(target=rehomings, target_homes=TARGETS)
    def begin(self, target_homes: Target) -> Iterator[str]:
        """Somebody rehomes, though workers may be frozen, or even run."""
        return rehome(
            self.sink, self.fence, SPEC, target_homes,
            lambda progress: PlainFold(SPEC, RULES, progress), self._read,
        )  # fmt: skip

    @rule(steps=rehomings, count=st.integers(1, 12))
    def go_on(self, steps: Iterator[str], count: int) -> None:
        """A rehoming takes some steps, and may give up."""
        with suppress(CannotRehome, SinkFenced):
            for _ in range(count):
                next(steps, None)
        self._note_progress()

    @rule(steps=consumes(rehomings))
    def stop(self, steps: Iterator[str]) -> None:
        """A rehoming is gone, wherever it was."""

    def teardown(self) -> None:
        """An operator brings the last rehoming to its end; then all must add up."""
        self._note_progress()
        for _ in range(4):
            if not self._reason():
                break
            try:
                for _ in self.begin(Target("", (0,) * self.now.partitions, self.now.forward)):
                    pass
            except CannotRehome:
                # a flush was left in its middle
                self._finish()
            self._note_progress()
        assert not self._reason()
        self._finish()
        self._finish()
        self._compare()

    def _reason(self) -> str:
        target = Target("", (0,) * self.now.partitions, self.now.forward)
        stored = self.sink.progress(SPEC.topic, ALL).values()
        return reason(self.sink.homes(SPEC.topic), stored, self.fence.height(), target)

    def _finish(self) -> None:
        """Workers of all partitions read on to the end, and stop as they should."""
        self._note_progress()
        workers = [Mortal(self.sink, self._begun(known[-1]), send=self.send) for known in self.stored]
        for _ in range(2):
            for worker, log in zip(workers, self.logs, strict=True):
                worker.fold(log, len(log))
                while worker.step():
                    pass
                assert not worker.ended
        self._note_progress()

    def _begun(self, found: Progress) -> Progress:
        """What a worker goes on from; of a partition of which nothing is stored what holds now."""
        if self.sink.progress(SPEC.topic, [found.partition]):
            return found
        now = self.now
        return replace(found, epoch=now.epoch, homes=now.partitions, forward=now.forward)

    def _read(self, progress: Progress) -> list[RecordBatch]:
        log = self.logs[progress.partition]
        return [b for b in log if progress.replay_from < b.next_offset <= progress.next_offset]

    def _compare(self) -> None:
        """By the log itself: an event counts once in each partition in which a copy of it was at home."""
        known = self.sink.homes(SPEC.topic)
        places: dict[str, set[int]] = {}
        for partition, log in enumerate(self.logs):
            for b in log:
                for offset, value in enumerate(b.values, b.base_offset):
                    held = at_offset(known, partition, offset)
                    assert held
                    for event in events_of(value):
                        home = partition_of(str(event["camera_id"]).encode(), held.partitions)
                        if home == partition or not held.forward:
                            places.setdefault(str(event["event_id"]), set()).add(partition)
        for event_id, copies in self.copies.items():
            assert 1 <= len(places[event_id]) <= copies, "an event that was sent once counts once"
        one_decision = len({h.change for h in known}) == 1
        assert not one_decision or set(map(len, places.values())) <= {1}
        expected = Counter[tuple[int, str]]()
        for event in self.sent:
            key = int(str(event["occurred_at"])) // 60_000 * 60, str(event["camera_id"])
            expected[key] += len(places[str(event["event_id"])])
        found = Counter[tuple[int, str]]()
        for row in self.sink.rows(SPEC).values():
            named = dict(zip(SPEC.columns, row, strict=True))
            found[int(str(named["window_start"])), str(named["camera_id"])] += int(str(named["events"]))
        assert +found == expected
        self._compare_balances(sum(expected.values()))

    def _compare_balances(self, counted: int) -> None:
        for partition, log in enumerate(self.logs):
            p = self.sink.progress(SPEC.topic, [partition]).get(partition, Progress(SPEC.name, SPEC.topic, 0))
            read = sum(len(events_of(v)) or 1 for b in log for v in b.values)
            assert p.folded + p.duplicates + p.late + p.dead + p.strays == read
            counted -= p.folded + p.late
        assert counted == 0


TestRehomings = Rehomings.TestCase
TestRehomings.settings = settings(max_examples=60, stateful_step_count=60)
