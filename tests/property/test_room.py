"""Where a fold stops for want of room changes nothing: it goes on behind the message that it was at."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.fold import ENDLESS, Fold
from streams.core.values import Changes, PackedBatches, Progress
from tests.property.test_native import RULES, STREAMS, logs
from tests.support.engines import ENGINES, engine


def run_of(log: list[PackedBatches]) -> PackedBatches:
    """The batches of a log one behind the other, as a fetch brings them."""
    data = b"".join(batch.data for batch in log)
    return PackedBatches(log[0].base_offset, log[-1].next_offset, data, 0, len(data))


def total(captured: list[Changes]) -> tuple[object, ...]:
    """What all captures together say, but for rows that a later capture has again."""
    return (
        captured[-1].progress if captured else None,
        [late for c in captured for late in c.late],
        [dead for c in captured for dead in c.dead],
        sorted((pane.window_start_ms, *pane.ids) for c in captured for pane in c.closed),
    )


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("stream", STREAMS)
@settings(max_examples=20)
@given(data=st.data())
def test_any_room_gives_the_same(name: str, stream: str, data: st.DataObject) -> None:
    """Progress, late events, dead letters and closed windows, with a capture at each stop or none."""
    spec = STREAMS[stream]
    run = run_of(data.draw(logs(spec)))
    begin = Progress(
        spec.name, spec.topic, 2, epoch=3, next_offset=run.base_offset, replay_from=run.base_offset
    )

    def fold(room: int, *, captures: bool) -> tuple[Fold, list[Changes], int]:
        state, taken, calls = engine(name)(spec, RULES, begin), list[Changes](), 0
        while state.position < run.next_offset:
            before = state.position
            state.fold(run, room)
            assert state.position > before
            calls += 1
            if captures and (changes := state.capture()):
                taken.append(changes)
        if changes := state.capture():
            taken.append(changes)
        return state, taken, calls

    whole, at_once, calls = fold(ENDLESS, captures=False)
    assert calls == 1
    bit, in_bits, _ = fold(data.draw(st.integers(0, 3000)), captures=data.draw(st.booleans()))
    assert bit.progress == whole.progress
    assert total(in_bits) == total(at_once)
