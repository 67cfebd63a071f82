"""Late events: both folds keep the same, and which of them are repeats does not hang on how they are cut."""

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.memory import MemorySink
from streams.core.late import LateEvents
from streams.core.late_duplicates import LateDeduplicator
from streams.core.plain import PlainFold
from streams.core.values import Changes, PackedBatches, Progress
from streams.worker.flush.steps import drop_late_duplicates, progress_steps, row_steps
from tests.property.test_native import RULES, STREAMS, messages
from tests.support.engines import native
from tests.support.events import T0_MS, packed

# for what is an hour old
OLD_S = -3600


@st.composite
def late_logs(draw: st.DrawFn, stream: str) -> tuple[Progress, list[PackedBatches]]:
    """A partition whose watermark is far, and a log that is mostly late."""
    spec, position = STREAMS[stream], draw(st.integers(0, 3))
    progress = Progress(
        spec.name, spec.topic, 2, epoch=3, next_offset=position + draw(st.integers(0, 4)),
        replay_from=position, watermark_ms=T0_MS, max_event_ms=T0_MS, max_append_ms=T0_MS,
    )  # fmt: skip
    log = list[PackedBatches]()
    for count in draw(st.lists(st.integers(0, 8), min_size=1, max_size=6)):
        values = [
            draw(messages(spec, draw(st.sampled_from([OLD_S, OLD_S, OLD_S - 600, 0])))) for _ in range(count)
        ]
        offsets = [*accumulate([draw(st.integers(1, 2)) for _ in values], initial=position - 1)][1:]
        end = (offsets[-1] if offsets else position) + 1
        log.append(packed(position, end, T0_MS + 60_000, values, offsets))
        position = end
    return progress, log


@pytest.mark.parametrize("stream", STREAMS)
@settings(max_examples=40)
@given(data=st.data())
def test_both_folds_keep_the_same(stream: str, data: st.DataObject) -> None:
    """With captures anywhere, with little room, over a replay; and so do they when some are selected."""
    spec = STREAMS[stream]
    progress, log = data.draw(late_logs(stream))
    plain, compiled = PlainFold(spec, RULES, progress), native(spec, RULES, progress)
    room = data.draw(st.sampled_from([1, 500, 1 << 40]))
    for batch in log:
        for state in (plain, compiled):
            while state.position < batch.next_offset:
                state.fold(batch, room)
        if data.draw(st.booleans()):
            _same(plain.capture(), compiled.capture(), data)
    _same(plain.capture(), compiled.capture(), data)


def _same(plain: Changes | None, compiled: Changes | None, data: st.DataObject) -> None:
    assert plain == compiled
    if plain is None or compiled is None or not plain.late:
        return
    assert [*plain.late] == [*compiled.late]
    kept = bytes(data.draw(st.integers(0, 1)) for _ in plain.late)
    expected = [event for event, keep in zip(plain.late, kept, strict=True) if keep]
    assert plain.late.select(kept) == compiled.late.select(kept) == LateEvents.of(expected)


@settings(max_examples=60)
@given(data=st.data())
def test_repeats_do_not_hang_on_the_cut(data: st.DataObject) -> None:
    """One flush of all, or one of each batch with a cache of any size, and a worker that does it again."""
    spec = STREAMS["camera"]
    progress, log = data.draw(late_logs("camera"))
    progress = replace(progress, next_offset=progress.replay_from)
    at_once, bit_by_bit = MemorySink(), MemorySink()

    def run(sink: MemorySink, capacity: int, *, captures: bool) -> None:
        state, settler = native(spec, RULES, progress), LateDeduplicator(capacity)
        for n, batch in enumerate(log, start=1):
            state.fold(batch)
            if (captures or n == len(log)) and (changes := state.capture()):
                settled = drop_late_duplicates(sink, [(settler, changes)])
                for written in (row_steps, progress_steps):
                    all(written(sink, spec, settled))

    run(at_once, 10**6, captures=False)
    run(bit_by_bit, data.draw(st.integers(0, 300)), captures=True)
    run(bit_by_bit, data.draw(st.integers(0, 300)), captures=data.draw(st.booleans()))
    assert at_once.progress(spec.topic, [2]) == bit_by_bit.progress(spec.topic, [2])
    assert at_once.rows(spec) == bit_by_bit.rows(spec)
    assert at_once.late_events(spec.topic) == bit_by_bit.late_events(spec.topic)
