"""Which letters are sent again, as what, where to, and how often that can count."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import orjson
import pytest

from infra.kafka.lines import LineReader
from infra.operate.letters.discard import discard
from infra.operate.letters.patch import Patch, read_corrections
from infra.operate.letters.prepare import DAY_MS, ReplayRules, Sendable, Unsendable, prepare
from infra.operate.letters.replay import PORTION, from_file, outcomes, patched, rehearse, replay
from schemas.codec import Codec
from sinks.letter_memory import MemoryLetters
from sinks.letters import DISCARDED, OPEN, REPLAYED, REPLAYING, STATES, Letter, Place, Selection
from sinks.memory import MemorySink
from streams.core.home import partition_of
from streams.core.values import DeadLetter
from streams.registry import load_streams
from tests.support.clickhouse import changes
from tests.support.events import T0_MS, camera_event

SPEC = load_streams()["camera"]
NOW_MS = T0_MS + 3_600_000
PARTITIONS = 12
READER = LineReader(SPEC, Codec(SPEC.event), NOW_MS + 300_000)
HOME = partition_of(b"cam-1", PARTITIONS)
ELSEWHERE = (HOME + 1) % PARTITIONS


def rules(*, again: bool = False, dedupe: bool = True, now_ms: int = NOW_MS) -> ReplayRules:
    """Of the camera stream alone."""
    reader = replace(READER, spec=replace(SPEC, dedupe=dedupe))
    return ReplayRules(lambda name: reader if name == "camera" else None, lambda _: PARTITIONS, again, now_ms)


def raw(event_id: str = "e1", **fields: object) -> bytes:
    """A camera event."""
    return orjson.dumps(camera_event(event_id, 1, **fields))


def letter(value: bytes, offset: int = 7, **more: object) -> Letter:
    """A letter in partition 3."""
    place = Place(SPEC.topic, 3, offset)
    return replace(Letter(place, "camera", T0_MS, "kind", "wrong", value), **more)  # type: ignore[arg-type] # its fields


def prepared(given: Letter, value: bytes | None = None, **how: object) -> Sendable | Unsendable:
    """The outcome for a letter, sent as it is when no other value is given."""
    return prepare(given, given.raw if value is None else value, "", rules(**how))  # type: ignore[arg-type] # as above


def why(outcome: Sendable | Unsendable) -> str:
    """Why it is not sent; '' when it is."""
    return outcome.why if isinstance(outcome, Unsendable) else ""


def sent(value: bytes, state: str = REPLAYED, acted_ms: int = NOW_MS - 1000, partition: int = HOME) -> Letter:
    """A letter of which a corrected value was sent before."""
    return letter(raw(kind="xe"), state=state, acted_ms=acted_ms, sent=value, sent_partition=partition)


def test_a_letter_that_is_valid_by_now_is_sent_as_it_is() -> None:
    """Its producer's clock was ahead, and that time has come."""
    outcome = prepared(letter(raw()))
    assert isinstance(outcome, Sendable)
    assert (outcome.value, outcome.partition) == (raw(), HOME)
    assert [(each.key, each.value) for each in outcome.messages] == [(b"cam-1", raw())]


def test_a_letter_that_is_still_wrong_is_not_sent() -> None:
    """The field and the reason are those of now."""
    assert why(prepared(letter(raw(kind="xe")))).startswith("kind: must be one of")
    assert "in the future" in why(prepared(letter(raw(occurred_at=NOW_MS + 400_000))))
    assert why(prepared(letter(b""))) == "is blank"
    assert "has no topic" in why(prepared(letter(raw(), stream="gone")))


@pytest.mark.parametrize("before", [raw(kind="xe"), b"{broken", b"[{]", raw(camera_id=""), raw(camera_id=5)])
@pytest.mark.parametrize("camera", ["cam-1", "cam-9"])
def test_a_letter_goes_home(before: bytes, camera: str) -> None:
    """Wherever its own message went: what its producer sends again is found there, or sent there."""
    outcome = prepared(letter(before), raw(camera_id=camera))
    assert isinstance(outcome, Sendable)
    assert outcome.partition == partition_of(camera.encode(), PARTITIONS)


@pytest.mark.parametrize(
    ("given", "value", "expected"),
    [
        (sent(raw()), raw(), "--again sends it once more"),
        (sent(raw(), REPLAYING), raw(), ""),  # it may have been sent; the same event counts once
        (sent(raw(), REPLAYING), raw(count=2), ""),  # also with other measures: its id decides
        (sent(raw(), REPLAYING), raw("e2"), "another event_id"),
        (sent(raw(), REPLAYING), raw(occurred_at=T0_MS + 60_000), "another event_id or occurred_at"),
        (sent(raw(), REPLAYING, partition=ELSEWHERE), raw(), f"to partition {ELSEWHERE}, not {HOME}"),
        (sent(raw(), REPLAYING, NOW_MS - 7 * DAY_MS), raw(), "kept for 7 days"),
        (letter(raw(), state=DISCARDED, acted_ms=1), raw(), ""),
    ],
)
def test_what_may_have_been_sent_must_count_once(given: Letter, value: bytes, expected: str) -> None:
    """Without --again nothing that was replayed is sent; what broke off is, when it counts once."""
    reason = why(prepared(given, value))
    assert expected in reason
    assert bool(reason) == bool(expected)


@pytest.mark.parametrize(
    ("given", "value", "expected"),
    [
        (sent(raw()), raw(), ""),
        (sent(raw()), raw("e2"), "another event_id"),
        (sent(raw(), partition=ELSEWHERE), raw(), f"to partition {ELSEWHERE}, not {HOME}"),
        (sent(raw(), acted_ms=NOW_MS - 7 * DAY_MS), raw(), "kept for 7 days"),
    ],
)
def test_again_sends_only_what_still_counts_once(given: Letter, value: bytes, expected: str) -> None:
    """Same id, same time, same partition, and not longer ago than ids are kept."""
    reason = why(prepared(given, value, again=True))
    assert expected in reason
    assert bool(reason) == bool(expected)


def test_a_stream_that_does_not_dedupe_sends_nothing_twice() -> None:
    """There is nothing that would make it count once."""
    assert prepared(letter(raw()), dedupe=False) == prepared(letter(raw()))
    assert "does not tell repeated events apart" in why(
        prepared(sent(raw()), raw(), again=True, dedupe=False)
    )


def test_letters_of_one_id_must_be_one_event() -> None:
    """The same event refused twice is sent twice, and counts once; two events with one id would be one."""
    same = [letter(raw(), 1), letter(raw(), 2)]
    patch = Patch({"event_id": "x"})
    different = [letter(raw("a"), 1), letter(raw("b", count=2), 2)]
    assert rehearse(outcomes(patched(same, Patch()), rules())).sent == 2
    report = rehearse(outcomes(patched(different, patch), rules()))
    assert (report.sent, report.refused) == (1, 1)
    assert str(report.first_refused[0]) == (
        "camera.events/3/2/0: event_id: is that of camera.events/3/1/0, which is another event: "
        "only one of them would count"
    )


class Wire:
    """A sender that keeps what was sent; it may fail at its flush."""

    def __init__(self, fail: Callable[[], bool] = lambda: False) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.flushed = 0
        self._fail = fail

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Keep it."""
        self.sent.append((topic, key, value))

    def flush(self) -> None:
        """All that was sent is acknowledged, or nothing is known."""
        if self._fail():
            raise OSError("no broker")
        self.flushed = len(self.sent)


def box(*values: bytes) -> MemoryLetters:
    """Letters at the offsets 0, 1, …"""
    sink = MemorySink()
    dead = [DeadLetter(n, 0, T0_MS + n, "kind", "wrong", value) for n, value in enumerate(values)]
    sink.put_dead(SPEC, [changes(SPEC, 3, dead=dead)])
    return MemoryLetters(sink)


def states(letters: MemoryLetters) -> list[str]:
    """Of each letter, in order."""
    return [found.state for found in letters.find(Selection(states=STATES))]


def run(letters: MemoryLetters, wire: Wire, patch: Patch, clock: Sequence[int] = (), **how: bool) -> object:
    """One replay of all that is unsettled."""
    ticks = iter(clock)
    found = outcomes(patched(list(letters.find(Selection())), patch), rules(**how))  # type: ignore[arg-type] # as above
    return replay(found, letters, wire, lambda: next(ticks, NOW_MS))


def test_a_replay_marks_what_it_has_sent() -> None:
    """With the patch, the message and its partition; what is still wrong stays open."""
    letters, wire = box(raw("a", kind="xe"), b"{", raw("b", kind="xe")), Wire()
    run(letters, wire, Patch({"kind": "vehicle"}))
    assert states(letters) == [REPLAYED, OPEN, REPLAYED]
    assert [value for _, _, value in wire.sent] == [raw("a"), raw("b")]
    first = next(letters.find(Selection(states=(REPLAYED,))))
    assert (first.note, first.sent, first.sent_partition) == ('{"set":{"kind":"vehicle"}}', raw("a"), HOME)
    run(letters, wire, Patch({"kind": "vehicle"}))
    assert len(wire.sent) == 2


def test_nothing_is_marked_replayed_before_it_is_acknowledged() -> None:
    """A replay that breaks off leaves it open whether it was sent; the next one says so, and sends it."""
    letters, wire = box(raw("a"), raw("b")), Wire(lambda: True)
    with pytest.raises(OSError, match="no broker"):
        run(letters, wire, Patch())
    assert states(letters) == [REPLAYING, REPLAYING]
    report = rehearse(outcomes(patched(letters.find(Selection()), Patch()), rules()))
    assert (report.sent, report.broken_off) == (2, 2)
    run(letters, Wire(), Patch())
    assert states(letters) == [REPLAYED, REPLAYED]


def test_a_clock_that_goes_back_does_not_bring_back_a_state() -> None:
    """Of two marks the later counts, whatever the clock says."""
    letters = box(raw("a"))
    run(letters, Wire(), Patch(), clock=[NOW_MS, NOW_MS - 5000])
    assert states(letters) == [REPLAYED]
    discard(list(letters.find(Selection(states=STATES))), letters, "test", NOW_MS - 9000)
    assert states(letters) == [DISCARDED]


def test_many_letters_go_in_portions() -> None:
    """A failure leaves at most one portion half done."""
    fails = iter([False, True])
    letters = box(*(raw(f"e{n}") for n in range(PORTION + 10)))
    with pytest.raises(OSError, match="no broker"):
        run(letters, Wire(lambda: next(fails)), Patch())
    assert [states(letters).count(state) for state in (REPLAYED, REPLAYING, OPEN)] == [PORTION, 10, 0]


def test_a_file_corrects_letters_by_their_places() -> None:
    """What it says nothing of stays; a place without a letter is refused."""
    lines = [
        b'{"topic": "camera.events", "partition": 3, "offset": %d, "event": %s}' % (offset, event)
        for offset, event in ((0, raw("a")), (1, b"null"), (9, raw("c")))
    ]
    letters = box(b"{", b"{{", b"{{{")
    corrections = read_corrections(enumerate(lines, 1))
    found = list(outcomes(from_file(letters, corrections, "fix.ndjson"), rules()))
    assert [type(outcome) for outcome in found] == [Sendable, Unsendable]
    assert isinstance(found[0], Sendable)
    assert (found[0].value, found[0].note) == (raw("a"), "fix.ndjson, line 1")
    assert "camera.events/3/9/0: there is no such dead letter (fix.ndjson, line 3)" in str(found[1])


def test_a_bundle_may_be_sent_for_a_message_that_could_not_be_read() -> None:
    """All its events have ids of their own."""
    outcome = prepared(letter(b"[{"), b"[" + raw("a") + b"," + raw("b") + b"]")
    assert isinstance(outcome, Sendable)
    assert len(set(outcome.ids)) == 2


def test_a_bundle_is_sent_to_each_home_of_its_events() -> None:
    """And marked as what it is: one letter, sent as a whole."""
    cameras = [f"cam-{n}" for n in range(1, 8)]
    events = [raw(camera, camera_id=camera) for camera in cameras]
    value = b"[" + b",".join(events) + b"]"
    letters, wire = box(value), Wire()
    run(letters, wire, Patch())
    assert states(letters) == [REPLAYED]
    (marked,) = letters.find(Selection(states=(REPLAYED,)))
    assert (marked.sent, marked.sent_partition) == (value, HOME)
    homes = [partition_of(key, PARTITIONS) for _, key, _ in wire.sent]
    assert len({*homes}) == len(homes) > 1
    for home, (_, _, sent_value) in zip(homes, wire.sent, strict=True):
        found = [event["camera_id"] for event in orjson.loads(sent_value)]
        assert found == [c for c in cameras if partition_of(c.encode(), PARTITIONS) == home]
