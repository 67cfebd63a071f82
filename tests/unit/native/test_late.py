"""Late events that fold.c keeps itself are those that Python would keep."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from streams.catalog.camera import SPEC
from streams.core.late import LateEvent
from streams.core.packed import Layout, Packed
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Changes, Progress
from streams.native.compiled import CompiledFold
from streams.spec import StreamSpec
from tests.support.engines import native
from tests.support.events import T0_MS, camera_event, message, packed
from tests.support.odd import PARKING

NOW_S, HOUR_S = 100_000, 3600


def twins(spec: StreamSpec = SPEC) -> tuple[PlainFold, CompiledFold]:
    """A state of each engine, for which all that is older than some minutes is late."""
    now = dict.fromkeys(("watermark_ms", "max_event_ms", "max_append_ms"), T0_MS + NOW_S * 1000)
    at = Progress(spec.name, spec.topic, 0, epoch=2, **now)
    return PlainFold(spec, Rules(), at), native(spec, Rules(), at)


def fold(states: Sequence[PlainFold], values: Sequence[bytes]) -> None:
    """Fold a batch with both."""
    first = states[0].position
    batch = packed(first, first + len(values), T0_MS + NOW_S * 1000, values)
    for state in states:
        state.fold(batch)
    assert states[0].progress == states[1].progress


def flush(states: Sequence[PlainFold]) -> Changes:
    """What both have to flush, once it is found to be the same."""
    plain, compiled = (state.capture() for state in states)
    assert plain == compiled
    assert compiled
    return compiled


def old(number: int, **fields: object) -> dict[str, object]:
    """An event of hours ago."""
    usual = {"event_id": f"late-{number}", "camera_id": f"cam-{number % 3}"}
    return {**camera_event("", (number % 7) * HOUR_S), **usual, **fields}


def test_none_is_handed_over() -> None:
    """Alone and in bundles, beside events on time; each with its place, and with what registers it."""
    states = twins()
    on_time = camera_event("now", NOW_S)
    values = [
        message(on_time),
        message(old(0)),
        message(old(1, speed_kmh=7.5), on_time, old(2)),
        message(old(3)),
    ]
    fold(states, values)
    changes = flush(states)
    assert states[1].handed_over == 0
    assert [event.position for event in changes.late] == [(1, 0), (2, 0), (2, 2), (3, 0)]
    first = next(iter(changes.late))
    assert (first.event_id, first.occurred_ms, first.append_ms, first.window_start_ms) == (
        "late-0", T0_MS, T0_MS + NOW_S * 1000, T0_MS,
    )  # fmt: skip
    assert changes.progress.late == 4
    assert changes.late.rows.packed
    assert changes.late.select(b"\0\1\1\0").rows.packed


def test_of_a_bundle_python_may_fold_the_rest() -> None:
    """The first items are folded by then, and keep their place; so have those behind what was not sure."""
    states = twins()
    odd = old(1, direction="\u2028")
    ahead = camera_event("ahead", NOW_S + HOUR_S)
    fold(states, [message(old(0), ahead, old(2)), message(old(3), odd, old(4)), message(odd)])
    assert states[1].handed_over == 3
    changes = flush(states)
    assert [e.position for e in changes.late if e.event_id != "late-1"] == [(0, 0), (0, 2), (1, 0), (1, 2)]


def test_what_is_read_again_is_not_kept() -> None:
    """Late events of before the stored position are stored; the first behind it is late again."""
    at = Progress(SPEC.name, SPEC.topic, 0, next_offset=3, watermark_ms=T0_MS + NOW_S * 1000, late=3)
    states = PlainFold(SPEC, Rules(), at), native(SPEC, Rules(), at)
    fold(states, [message(old(n)) for n in range(5)])
    assert [event.position for event in flush(states).late] == [(3, 0), (4, 0)]
    assert states[1].progress.late == 5


def test_streams_without_ids_number_their_late_events() -> None:
    """By where each stands: fold.c knows no such hash, so Python passes it."""
    states = twins(replace(PARKING, dedupe=False))
    event = {"event_id": "e", "occurred_at": T0_MS, "ward_code": "02200"}
    fold(states, [message(event), message(event, event)])
    ids = [late.id for late in flush(states).late]
    assert len({*ids}) == 3
    assert states[1].handed_over == 2


@pytest.mark.parametrize("often", [True, False])
def test_texts_of_any_length_and_number(often: bool) -> None:
    """More cameras than have numbers, in late rows and in others, while words are renewed."""
    states = twins()
    for n in range(9):
        names = [f"{'x' * 60}{i}" if n == 1 else f"{n}-{i % 4}" for i in range(1200)]
        values = [
            message(camera_event(f"e{n}-{i}", NOW_S * (i % 3 == 0), camera_id=name))
            for i, name in enumerate(names)
        ]
        fold(states, values)
        if often or n == 8:
            flush(states)


def test_few_texts_travel_as_numbers() -> None:
    """Those of late rows too, before and after some are selected."""
    states = twins()
    fold(states, [message(old(n)) for n in range(30)])
    late = flush(states).late
    for some in (late, late.select(b"\0\1" * 15)):
        assert [column.layout for column in some.rows.columns[1:7] if isinstance(column, Packed)] == [
            Layout.CODES
        ] * 6


def test_a_hostile_bundle_is_weighed_and_let_go_of() -> None:
    """10,000 late events of long texts in each of a few messages."""
    states = twins()
    state = states[1]
    empty = state.memory
    many = message(*(old(n, event_id=f"{n:064}", camera_id="c" * 64) for n in range(10_000)))
    batch = packed(0, 5, T0_MS + NOW_S * 1000, [many] * 5)
    for each in states:
        each.fold(batch, room=1)
        assert each.position == 1
    assert 3_000_000 < state.pending < 10_000_000
    assert state.open_bytes < empty + 20_000
    assert len(flush(states).late) == 10_000
    assert state.pending == 0
    assert state.memory < empty + 20_000
    while state.position < 5:
        before = state.position
        state.fold(batch, room=12_000_000)
        assert state.position > before
    assert state.progress.late == 50_000


def test_a_fold_may_be_dropped_with_late_events_in_it() -> None:
    """Nothing of them is freed twice."""
    for _ in range(20):
        fold(twins(), [message(old(n)) for n in range(500)])


def test_iterating_gives_values() -> None:
    """As of the plain fold, for whoever asks."""
    states = twins()
    fold(states, [message(old(5))])
    (event,) = flush(states).late
    assert isinstance(event, LateEvent)
    assert len(event.row) == len(SPEC.columns)
