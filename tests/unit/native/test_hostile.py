"""What is sent to make the compiled fold slow or wrong: chosen ids, junk codes, odd times and choices."""

import random
import time
from collections.abc import Sequence
from ctypes import byref, c_int64, c_void_p, string_at
from dataclasses import replace
from typing import Any, Literal

import pytest

from schemas.codec import raw_events
from schemas.event import Code, Event
from streams.catalog.camera import SPEC
from streams.core.limits import Limits
from streams.core.packed import Layout
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Changes, Progress
from streams.measures import Count, Is
from streams.native.checks import Unsupported
from streams.native.compiled import CompiledFold
from streams.native.tables import stream_table
from streams.spec import StreamSpec
from tests.support.engines import library, native
from tests.support.events import T0_MS, camera_event, message, packed

ORIGIN = Progress(SPEC.name, SPEC.topic, 0)
MINUTE_S = 60
MANY = 30_000


def twins(spec: StreamSpec = SPEC, rules: Rules | None = None) -> tuple[PlainFold, CompiledFold]:
    """A state of each engine."""
    at, rules = Progress(spec.name, spec.topic, 0), rules or Rules()
    return PlainFold(spec, rules, at), native(spec, rules, at)


def fold(states: Sequence[PlainFold], at_s: float, values: Sequence[bytes]) -> None:
    """Fold a batch with both, appended at `at_s`."""
    first = states[0].position
    batch = packed(first, first + len(values), T0_MS + round(at_s * 1000), values)
    for state in states:
        state.fold(batch)
    assert states[0].progress == states[1].progress


def flush(states: Sequence[PlainFold]) -> Changes:
    """What both have to flush, once it is found to be the same."""
    plain, compiled = (state.capture() for state in states)
    assert plain == compiled
    assert compiled
    return compiled


MOMENT = "2024-05-13T08:00:00Z"
# where letters stand in it, and signs that are next to the digits
LETTERS = [
    (0, "30ab"),
    (0, "ab20"),
    (0, "1a"),
    (2, "b4"),
    (5, "0a"),
    (5, "a5"),
    (8, "1:"),
    (11, "0/"),
    (14, ":0"),
]


@pytest.mark.parametrize("moment", [MOMENT[:at] + odd + MOMENT[at + len(odd) :] for at, odd in LETTERS])
def test_times_with_letters_are_refused(moment: str) -> None:
    """Letters in a year were counted as if they were digits that make up for each other."""
    states = twins()
    fold(states, 4_000_000_000 - T0_MS / 1000, [message({**camera_event("e", 0), "occurred_at": moment})])
    assert states[1].progress.dead == 1
    assert states[1].folded == 0


def _added(ids: Sequence[int]) -> float:
    """CPU seconds that events of these ids take, the least of three times."""
    times = []
    for _ in range(3):
        state = native(SPEC, Rules(), ORIGIN)
        numbers = [0] * (state._numbers.size // 8)
        at = next(i for i, name, _ in state._used if name == "occurred_at")
        numbers[at] = T0_MS + 5000
        add, packed, present = library().add, state._numbers.pack(*numbers), 1 << at
        start = time.process_time()
        for seen in ids:
            add(state._state, 1, 0, T0_MS + 60_000, seen, present, packed, b"")
        times.append(time.process_time() - start)
        assert state.folded == len(ids)
    return min(times)


@pytest.mark.parametrize(
    "chosen",
    [range(1 << 44, MANY << 44, 1 << 44), range(1, MANY), range(1 << 35, MANY << 35, 1 << 35),
     [(i << 40 | i) ^ 0x5555 for i in range(1, MANY)]],
    ids=["low bits alike", "high bits alike", "the middle", "both ends"],
)  # fmt: skip
def test_chosen_ids_cost_no_more_than_others(chosen: Sequence[int]) -> None:
    """XXH3 of eight bytes can be inverted, so whoever sends events can have any ids; 47 times dearer once."""
    rng = random.Random(1)
    assert _added(chosen) < 4 * _added([rng.getrandbits(64) | 1 for _ in range(len(chosen))])


def test_the_number_of_a_flush_begins_again() -> None:
    """Behind the last one of 32 bits rows still wait, those of open windows and new ones."""
    states = twins()
    states[1]._shared.flush = 1
    fold(states, 0, [message(camera_event("e0", 0, camera_id="a"), camera_event("e1", 0, camera_id="old"))])
    flush(states)
    states[1]._shared.flush = 2**32 - 2
    for n in range(2, 12, 2):
        cameras = [camera_event(f"e{n}", 0, camera_id="a"), camera_event(f"e{n + 1}", 0, camera_id=f"c{n}")]
        fold(states, 0, [message(*cameras)])
        assert len(flush(states).rows) == 2
        if states[1]._shared.flush == 1:  # what a row may have kept from the first time
            fold(states, 0, [message(camera_event(f"again-{n}", 0, camera_id="old"))])
            assert len(flush(states).rows) == 1


def test_junk_codes_do_not_take_the_numbers_for_ever() -> None:
    """After a minute with more codes than there are numbers, later minutes' codes have numbers again."""
    states, rng, number, layouts = twins(), random.Random(4), 0, []
    for minute in range(24):
        junk = minute == 1
        events = []
        for n in range(700):
            number += 1
            # some into the minutes before, which have keys of the words before
            at_s = minute * MINUTE_S + rng.randrange(-60, 60)
            camera = f"junk-{number}" if junk else f"cam-{n % 200}"
            events.append(
                camera_event(f"e{number}", at_s, camera_id=camera, direction=rng.choice(["n", "s"]))
            )
        for start in range(0, len(events), 50):
            fold(states, (minute + 1) * MINUTE_S, [message(*events[start : start + 50])])
            if rng.random() < 0.3 or start == 650:
                layouts.append(flush(states).rows.columns[1].layout)  # type: ignore[attr-defined]  # packed
    assert states[1].folded > 20 * 700
    assert Layout.TEXT in layouts
    assert set(layouts[-8:]) == {Layout.CODES}


def test_many_codes_that_are_no_junk_keep_their_numbers() -> None:
    """Where each minute has more texts than there are numbers, the words are not made anew."""
    states, seen = twins(), set[bytes]()
    for minute in range(8):
        events = [camera_event(f"{minute}-{n}", minute * MINUTE_S, camera_id=f"cam-{n}") for n in range(900)]
        random.Random(minute).shuffle(events)
        fold(states, minute * MINUTE_S, [message(e) for e in events])
        flush(states)
        packed, size = c_void_p(), c_int64()
        assert library().words(states[1]._state, 0, byref(packed), byref(size)) == 255
        seen.add(string_at(packed, size.value))
    assert len(seen) == 1


class Odd(Event, frozen=True, gc=False, kw_only=True):
    """Choices that JSON writes in more ways than one; the longest is in no table."""

    zone: Code
    sign: Literal[
        '"', "a\\", "a\\\\", "\n", "a\nb", "\x01", "\x7f", "é", "😀", "/", "b", "longer than all others: \\"
    ] = "b"


ODD = StreamSpec(
    name="odd", topic="odd", event=Odd, key="zone", table="t", view="v",
    dimensions=("zone", "ward_code", "sign"), measures=(Count("b", when=(Is("sign", "b"),)),),
)  # fmt: skip
# each as it stands between quotes
SPELLINGS = [
    *(b'\\"', b'"', b"a\\\\", b"a\\", b"a\\\\\\\\", b"\\n", b"\n", b"a\\nb", b"a\nb", b"\\u0001", b"\x01"),
    *(b"\x7f", b"\\u007f", "é".encode(), b"\\u00e9", "😀".encode(), b"\\ud83d\\ude00", b"/", b"\\/"),
    *(b"b", b"\\u0062", b"", b"a", b"longer than all others: \\\\"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_choices_are_what_json_means(spelling: bytes) -> None:
    """However a choice is written, both engines take the same, and refuse what is no JSON."""
    states = twins(ODD)
    values = [
        b'{"event_id":"e%d","occurred_at":%d,"zone":"z","sign":"%s"}' % (n, T0_MS, spelling) for n in range(4)
    ]
    fold(states, 0, [*values[:2], b"[%s,%s]" % (*values[2:],)])
    flush(states)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 9000])
def test_texts_that_c_can_t_be_told_are_named(text: str) -> None:
    """A condition's value that would be cut, or that no message can hold."""
    spec = replace(ODD, measures=(Count("n", when=(Is("zone", text),)),))
    with pytest.raises(Unsupported, match=r"no text that fold\.c can be told"):
        stream_table(spec, Rules())


@pytest.mark.parametrize("events", [7, 8, 9, 20])
def test_a_message_of_too_many_events_is_one_dead_letter(events: int) -> None:
    """At the same number for both engines; compiled, no event beyond the limit is looked at."""
    states = twins(rules=Rules(limits=Limits(bundle_events=8)))
    fold(states, 0, [message(*(camera_event(f"e{n}", 0) for n in range(events)))])
    changes = flush(states)
    assert states[1].folded == (events if events <= 8 else 0)
    assert [
        (d.index, "more than 8 events" in d.reason, "SONGLO_BUNDLE_EVENTS" in d.reason) for d in changes.dead
    ] == ([] if events <= 8 else [(0, True, True)])


def _from_the_future(events: int) -> bytes:
    return message(*(camera_event(f"e{n}", 100_000) for n in range(events)))


@pytest.mark.parametrize("engine", [0, 1])
def test_a_bundle_from_the_future_is_taken_apart_once(engine: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was once for each of its events."""
    calls: list[int] = []

    def counted(value: bytes) -> Any:
        calls.append(len(value))
        return raw_events(value)

    monkeypatch.setattr("streams.core.message.raw_events", counted)
    state = twins()[engine]
    state.fold(packed(0, 1, T0_MS, [_from_the_future(2000)]))
    assert state.progress.dead == 2000
    assert len(calls) == 1


def test_panes_may_come_in_any_order_and_number() -> None:
    """A thousand open at once, opened in no order, closed in that of time, by one event or by many."""
    rules = Rules(pane_ms=1000, disorder_ms=3_600_000)
    states, rng = twins(rules=rules), random.Random(9)
    seconds = [*range(1000), *rng.choices(range(1000), k=500)]
    rng.shuffle(seconds)
    fold(states, 1000, [message(camera_event(f"e{n}", s)) for n, s in enumerate(seconds)])
    assert states[1].open_panes == states[0].open_panes == 1000
    assert len(flush(states).rows) == 1000
    for n, later in enumerate([3700, 3701, 3950, 4400, 9000]):
        fold(
            states,
            later,
            [message(camera_event(f"l{n}", later)), message(camera_event(f"m{n}", later - 3000))],
        )
        closed = [pane.window_start_ms for pane in flush(states).closed]
        assert closed == sorted(closed)
    assert states[1].open_panes == states[0].open_panes == 2
