"""Rebuilds among workers that die, as a state machine: at any moment, from any progress, stopped anywhere.

No swap changes what the views show, nothing that workers, replays or zombies write later undoes one, and the
store conserves every event.
"""

from collections import Counter
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple, rule

from sinks.memory import MemorySink
from sinks.memory_shadow import MemoryShadow
from streams.catalog.camera import SPEC
from streams.core.rebuild import Span, first_open
from streams.core.values import Progress, RecordBatch
from streams.shadow import CannotRebuild, fill, swap
from tests.property.test_exactness import RULES, Exactness
from tests.support.events import T0_MS

MINUTE_MS = 60_000
EVENTS, LATE_ID = SPEC.columns.index("events"), SPEC.columns.index("late_id")


class Redo:
    """One rebuild of a span, a step at a time; `log` is as it is when it is read."""

    def __init__(self, sink: MemorySink, log: list[RecordBatch], progress: Progress, span: Span) -> None:
        self.progress, self.span = progress, span
        self.shadow = MemoryShadow(sink, SPEC, RULES.pane_ms, span)
        self._sink, self._log = sink, log
        self._steps = self._all()

    def step(self) -> bool:
        """Whether there was one more."""
        return next(self._steps, None) is not None

    def _all(self) -> Iterator[str]:
        yield from fill(self._sink, self.shadow, SPEC, RULES, self.span, self.progress, lambda _: self._log)
        yield from swap(self.shadow)


class Rebuilds(Exactness):
    """The machine of exactness, with rebuilds."""

    rebuilds = Bundle("rebuilds")

    @rule(target=rebuilds, back=st.integers(0, 2), first=st.integers(-4, 15), length=st.integers(1, 12))
    def begin(self, back: int, first: int, length: int) -> object:
        """A rebuild of windows that are closed by the progress it reads, which may be out of date."""
        progress = self.stored[max(0, len(self.stored) - 1 - back)]
        start_ms = T0_MS + first * MINUTE_MS
        span = Span(start_ms, start_ms + length * MINUTE_MS)
        if (open_ms := first_open(progress, span)) is not None:
            if open_ms == start_ms:
                return multiple()
            span = Span(start_ms, open_ms)
        return Redo(self.sink, self.log, progress, span)

    @rule(redo=rebuilds, count=st.integers(1, 8))
    def go_on(self, redo: Redo, count: int) -> None:
        """A rebuild takes some steps; it shows the same windows, and gives up only from old progress."""
        before = shown(self.sink)
        try:
            for _ in range(count):
                redo.step()
        except CannotRebuild:
            assert redo.progress != self.stored[-1]
        assert shown(self.sink) == before

    @rule(redo=consumes(rebuilds))
    def stop(self, redo: Redo) -> None:
        """A rebuild is gone, wherever it was."""

    def teardown(self) -> None:
        """Everything adds up, and a last rebuild finds nothing to correct."""
        super().teardown()
        if not self.log:
            return
        progress = self.sink.progress(SPEC.topic, [0])[0]
        events = sum(int(str(row[EVENTS])) for row in self.sink.rows(SPEC).values())
        assert events == progress.folded + progress.late
        last_ms = first_open(progress, Span(0, T0_MS * 2)) or T0_MS + 3600_000
        redo = Redo(self.sink, self.log, progress, Span(T0_MS - 10 * MINUTE_MS, last_ms))
        while redo.step():
            pass
        assert self.sink.corrections(SPEC.topic, 0) == {}
        assert redo.shadow.compare(10).equal
        self._compare_totals()
        late = [r for r in self.sink.rows(SPEC).values() if r[LATE_ID] and r[EVENTS]]
        assert late == []


def shown(sink: MemorySink) -> dict[object, tuple[object, ...]]:
    """What a view shows: the rows of each window and camera added up, without those of nothing."""
    found: dict[object, Counter[str]] = {}
    for row in sink.rows(SPEC).values():
        named = dict(zip(SPEC.columns, row, strict=True))
        for name in ("events", "objects", "speed_count", "speed_sum"):
            if number := int(str(named[name])):
                found.setdefault((named["window_start"], named["camera_id"]), Counter())[name] += number
    return {key: tuple(sorted(numbers.items())) for key, numbers in found.items()}


TestRebuilds = Rebuilds.TestCase
TestRebuilds.settings = settings(max_examples=100, stateful_step_count=50)
