"""Strays: events of other partitions, kept in their own bytes until they are sent home; by both folds."""

from dataclasses import replace

import msgspec
import orjson
import pytest

from schemas.camera import CameraEvent
from schemas.codec import Codec
from streams.catalog.camera import SPEC
from streams.core.fold import Fold
from streams.core.home import Homes, at_offset, newest, partition_of
from streams.core.limits import Limits
from streams.core.records import pack
from streams.core.rules import Rules
from streams.core.strays import MESSAGE_BYTES, STRAY_BYTES
from streams.core.values import Changes, Progress, StrayMessage
from tests.support.engines import ENGINES, NewState, engine
from tests.support.events import T0_MS, batch, camera_event, message

HOMES = 4
# of this partition, and of others
OWN = next(f"cam-{n}" for n in range(99) if partition_of(f"cam-{n}".encode(), HOMES) == 1)
OTHERS = [
    next(f"cam-{n}" for n in range(99) if partition_of(f"cam-{n}".encode(), HOMES) == p) for p in (0, 2)
]
PROGRESS = Progress("camera", "camera.events", 1, homes=HOMES)


@pytest.fixture(params=ENGINES)
def new(request: pytest.FixtureRequest) -> NewState:
    """Every table holds for both engines."""
    return engine(request.param)


def fold(new: NewState, *values: bytes, progress: Progress = PROGRESS, rules: Rules | None = None) -> Fold:
    """A fold of these messages, in one batch of 20 s after T0."""
    state = new(SPEC, rules or Rules(), progress)
    state.fold(pack(batch(0, 20, values)))
    return state


def captured(state: Fold) -> Changes:
    """What it has to flush; there must be something."""
    changes = state.capture()
    assert changes is not None
    return changes


def event(n: int, camera: str, at_s: float = 1, **fields: object) -> dict[str, object]:
    """One event."""
    return camera_event(f"e{n}", at_s, camera_id=camera, **fields)


def test_a_stray_is_kept_in_its_own_bytes_and_counts_nowhere(new: NewState) -> None:
    """Blanks, unknown fields and the order of fields stay as the producer wrote them."""
    stray = b' {"zone": [1, 2],\t"camera_id": "%s", ' % OTHERS[0].encode() + message(event(1, "x"))[
        1:
    ].replace(b'"camera_id":"x",', b"")
    state = fold(new, message(event(0, OWN)), stray)
    changes = captured(state)
    assert changes.strays == [StrayMessage(0, b"[" + stray + b"]", 1)]
    assert [row[SPEC.columns.index("events")] for row in changes.rows] == [1]
    progress = changes.progress
    assert (progress.folded, progress.strays, progress.away, progress.late, progress.dead) == (1, 1, 0, 0, 0)
    assert state.events == 2


def test_a_bundle_of_several_homes_is_taken_apart(new: NewState) -> None:
    """One message for each home, in the order of the log; what is refused of it is refused here."""
    events = [event(n, camera) for n, camera in enumerate([OTHERS[1], OWN, OTHERS[0], OTHERS[1]])]
    broken = {**event(9, OTHERS[0]), "count": 0}
    changes = captured(fold(new, message(*events, broken)))
    assert [(s.home, orjson.loads(s.value)) for s in changes.strays] == [
        (0, [events[2]]),
        (2, [events[0], events[3]]),
    ]
    assert (changes.progress.folded, changes.progress.strays, changes.progress.dead) == (1, 3, 1)


def test_messages_of_strays_are_bounded(new: NewState) -> None:
    """In bytes, and in events by what a message may hold."""
    events = [event(n, OTHERS[0], direction="north") for n in range(1200)]
    sent = captured(fold(new, *map(message, events))).strays
    assert [e for s in sent for e in orjson.loads(s.value)] == events
    assert len(sent) > 1
    assert max(len(s.value) for s in sent) <= MESSAGE_BYTES + 2
    few = captured(fold(new, *map(message, events[:7]), rules=Rules(limits=Limits(bundle_events=3)))).strays
    assert [s.events for s in few] == [3, 3, 1]


def test_a_long_one_is_written_anew(new: NewState) -> None:
    """What a producer puts beside its fields must not make it too large to be sent."""
    stray = event(1, OTHERS[0])
    padded = message({**stray, "note": "x" * STRAY_BYTES})
    (sent,) = captured(fold(new, padded, b"[" + padded + b"]")).strays
    assert sent.events == 2
    assert len(sent.value) < 1000
    decode = Codec(CameraEvent).decode
    first, second = msgspec.json.decode(sent.value, type=list[msgspec.Raw])
    assert decode(bytes(first)) == decode(bytes(second)) == decode(message(stray))


def test_strays_move_the_watermark_and_wait_in_memory(new: NewState) -> None:
    """A partition of strays alone gets on, holds nothing open, and tells how much waits."""
    values = [message(event(n, OTHERS[0], at_s=10)) for n in range(50)]
    state = fold(new, *values)
    assert state.pending > sum(map(len, values))
    assert state.progress.watermark_ms == T0_MS + 10_000 - Rules().disorder_ms
    assert state.progress.replay_from == state.position
    assert sum(s.events for s in captured(state).strays) == 50
    assert (state.pending, state.capture()) == (0, None)


def test_an_event_of_the_future_is_dead_where_it_is(new: NewState) -> None:
    """Not sent home: there its append time would be another, and so might be the answer."""
    changes = captured(fold(new, message(event(1, OTHERS[0], at_s=20 + 301))))
    assert (changes.strays, changes.progress.dead, changes.progress.strays) == ([], 1, 0)


def test_a_replay_sends_none_again(new: NewState) -> None:
    """Those before the stored position were sent before it was stored."""
    values = [message(event(0, OWN)), message(event(1, OTHERS[0])), message(event(2, OTHERS[1]))]
    stored = replace(captured(fold(new, *values[:2])).progress, next_offset=2)
    assert (stored.replay_from, stored.strays) == (0, 1)
    changes = captured(fold(new, *values, progress=stored))
    assert [s.home for s in changes.strays] == [2]
    assert (changes.progress.folded, changes.progress.strays) == (1, 2)


def test_strays_count_where_they_are_if_so_decided(new: NewState) -> None:
    """Each of them that is valid is one away, on time, late or a duplicate."""
    stay = replace(PROGRESS, forward=False)
    early, late = event(1, OTHERS[0], at_s=10), event(2, OTHERS[0], at_s=-3600)
    state = fold(new, *map(message, [event(0, OWN), early, early, late]), progress=stay)
    progress = captured(state).progress
    assert (progress.folded, progress.duplicates, progress.late, progress.away) == (2, 1, 1, 3)
    assert (progress.strays, state.events) == (0, 4)


def test_without_repeats_there_are_no_strays(new: NewState) -> None:
    """A stream without ids has nothing by which a stray that was sent twice could be found."""
    state = new(replace(SPEC, dedupe=False), Rules(), PROGRESS)
    state.fold(pack(batch(0, 20, [message(event(1, OTHERS[0]))])))
    progress = captured(state).progress
    assert (progress.folded, progress.strays, progress.away) == (1, 0, 0)


def test_closing_all_panes_keeps_their_ids(new: NewState) -> None:
    """Behind a change of homes what comes for them is late, and its repeats are found."""
    state = fold(new, message(event(0, OWN)), message(event(1, OWN)))
    captured(state)
    state.close_all()
    changes = captured(state)
    assert [len(pane.ids) for pane in changes.closed] == [2]
    assert changes.progress.watermark_ms == T0_MS + 60_000
    assert changes.progress.replay_from == changes.progress.next_offset == 2
    state.fold(pack(batch(2, 21, [message(event(0, OWN))])))
    assert len(captured(state).late) == 1


def test_what_holds_at_an_offset_is_the_last_decision_before_it() -> None:
    """Partitions that a decision does not name have it from their beginning."""
    first = Homes("t", "id", 0, 4, forward=True)
    second = Homes("t", "id", 1, 6, forward=True, epoch=1, offsets=(10, 20))
    other = Homes("t", "other", 7, 2, forward=True)
    assert newest([second, first, other], "id") is second
    assert newest([first], "another") is None
    known = [first, second]
    assert [at_offset(known, 0, at) for at in (0, 9, 10)] == [first, first, second]
    assert [at_offset(known, p, 0) for p in (1, 2)] == [first, second]
    assert at_offset([second], 0, 9) is None
