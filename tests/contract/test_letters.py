"""What every store of dead letters must do: one suite on memory and on the real engine."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from sinks.letter_memory import MemoryLetters
from sinks.letter_store import ClickHouseLetters
from sinks.letters import (
    DISCARDED,
    OPEN,
    REPLAYED,
    REPLAYING,
    STATES,
    Action,
    Group,
    Letter,
    Letters,
    Place,
    Selection,
)
from sinks.memory import MemorySink
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.catalog.qr import SPEC as QR
from streams.core.shapes import longest_piece, safe_shape, shape
from streams.core.values import DeadLetter, Noted
from streams.sink import Sink
from streams.spec import StreamSpec
from tests.support.clickhouse import HasClickHouse, changes, new_database

T0_MS = 1_715_587_200_000
ALL = Selection(states=STATES)


@dataclass(frozen=True, slots=True)
class Box:
    """A sink that fills it, and its letters."""

    sink: Sink
    letters: Letters

    def put(self, *dead: DeadLetter, spec: StreamSpec = CAMERA, partition: int = 0, epoch: int = 0) -> None:
        """Dead letters as a worker writes them."""
        self.sink.put_dead(spec, [changes(spec, partition, dead=list(dead), epoch=epoch)])

    def note(self, *noted: Noted) -> None:
        """What a worker only notes."""
        self.sink.put_noted(CAMERA, [changes(CAMERA, noted=list(noted))])

    def found(self, selection: Selection = ALL) -> list[Letter]:
        """The letters in their order."""
        return sorted(self.letters.find(selection), key=lambda letter: (letter.append_ms, letter.place))


@pytest.fixture(params=["memory", "clickhouse"])
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """An empty box of each kind."""
    if request.param == "memory":
        sink = MemorySink()
        yield Box(sink, MemoryLetters(sink))
        return
    stack: HasClickHouse = request.getfixturevalue("stack")
    server = new_database(stack)
    made = Box(ClickHouseSink(server), ClickHouseLetters(server))
    yield made
    made.sink.close()
    made.letters.close()


def dead(
    offset: int, reason: str = "missing", field: str = "kind", index: int = 0, raw: bytes = b"{}"
) -> DeadLetter:
    """A letter appended `offset` seconds after T0."""
    return DeadLetter(offset, index, T0_MS + offset * 1000, field, reason, raw)


def place(offset: int, index: int = 0, topic: str = CAMERA.topic, partition: int = 0) -> Place:
    """Where it stands."""
    return Place(topic, partition, offset, index)


def offsets(letters: Sequence[Letter]) -> list[int]:
    """Which they are."""
    return [letter.place.offset for letter in letters]


def test_a_new_store_has_none(box: Box) -> None:
    """Nor groups of them."""
    assert (box.letters.count(ALL), box.found(), box.letters.newest(ALL, 5), box.letters.groups(ALL, 5)) == (
        0,
        [],
        [],
        [],
    )


def test_a_letter_is_open_and_comes_back_byte_by_byte(box: Box) -> None:
    """With its stream and place; written again it is one."""
    raw, reason = bytes(range(256)), "không phải 'xe' \\ %s %(x)s"
    for _ in range(2):
        box.put(dead(7, reason, "", 3, raw), partition=5, epoch=2)
    expected = Letter(Place(CAMERA.topic, 5, 7, 3, 2), "camera", T0_MS + 7000, "", reason, raw)
    assert box.found() == [expected]
    assert expected.state == OPEN


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [1, 2, 3, 9]),
        (Selection(stream="camera"), [1, 2, 3]),
        (Selection(stream="service"), []),
        (Selection(topic=QR.topic), [9]),
        (Selection(field="speed_kmh"), [2]),
        (Selection(reason="NHANH"), [2]),
        (Selection(reason="100%"), [3]),
        (Selection(reason="it's"), [3]),
        (Selection(since_ms=T0_MS + 2000), [2, 3, 9]),
        (Selection(until_ms=T0_MS + 2000), [1]),
        (Selection(since_ms=T0_MS + 2000, until_ms=T0_MS + 2001), [2]),
        (Selection(messages=[(CAMERA.topic, 0, 1), (QR.topic, 0, 9), (QR.topic, 0, 1)]), [1, 9]),
        (Selection(stream="camera", reason="\\d", since_ms=T0_MS + 3000), [3]),
        (Selection(states=(DISCARDED, REPLAYED)), []),
    ],
)
def test_filters(box: Box, selection: Selection, expected: list[int]) -> None:
    """By stream, topic, field, part of the reason, time and message; all that are given hold."""
    box.put(dead(1), dead(2, "quá nhanh", "speed_kmh"), dead(3, "it's 100% wrong, said \\d"))
    box.put(dead(9), spec=QR)
    assert offsets(box.found(selection)) == expected
    assert box.letters.count(selection) == len(expected)


def test_the_newest_and_the_oldest(box: Box) -> None:
    """As many as asked for."""
    box.put(*(dead(n) for n in (4, 1, 3, 2)))
    assert offsets(box.letters.newest(ALL, 3)) == [4, 3, 2]
    assert offsets(list(box.letters.find(ALL, 2))) == [1, 2]


def test_groups_are_of_one_mistake(box: Box) -> None:
    """Numbers and quoted values differ from letter to letter; the largest group comes first."""
    box.put(
        *(
            dead(n, f"{n * 1000 + 0.5:,} s ahead of the broker's time: check the device's clock", "t")
            for n in (1, 2, 3)
        )
    )
    box.put(dead(4, "must be one of person, not 'xe bò'"), dead(5, "must be one of person, not 'tractor'"))
    box.put(dead(6, "not UTF-8 at byte 3"), spec=QR)
    ahead = "# s ahead of the broker's time: check the device's clock"
    assert box.letters.groups(ALL, 9) == [
        Group("camera", "t", ahead, 3, T0_MS + 1000, T0_MS + 3000, place(3)),
        Group("camera", "kind", "must be one of person, not '…'", 2, T0_MS + 4000, T0_MS + 5000, place(5)),
        Group("qr", "kind", "not UTF-8 at byte #", 1, T0_MS + 6000, T0_MS + 6000, place(6, topic=QR.topic)),
    ]
    assert [group.letters for group in box.letters.groups(replace(ALL, stream="camera"), 1)] == [3]


def test_the_newest_action_is_the_state(box: Box) -> None:
    """Whatever the order in which actions are written, and however often."""
    box.put(dead(1), dead(2), dead(2, index=1))
    actions = [
        Action(place(1), T0_MS + 1, REPLAYING, "{}", b"\x00\xff", 4),
        Action(place(1), T0_MS + 2, REPLAYED, '{"set": "%s"}', b"\x00\xff", 4),
        Action(place(2, 1), T0_MS + 3, DISCARDED, "thử nghiệm"),
    ]
    for _ in range(2):
        box.letters.mark(actions[::-1])
    first, second, third = box.found()
    assert (first.state, first.acted_ms, first.note, first.sent, first.sent_partition) == (
        REPLAYED, T0_MS + 2, '{"set": "%s"}', b"\x00\xff", 4,
    )  # fmt: skip
    assert second.state == OPEN
    assert (third.state, third.note) == (DISCARDED, "thử nghiệm")
    assert [box.letters.count(Selection(states=(state,))) for state in STATES] == [1, 0, 1, 1]


def test_a_letter_that_may_have_been_sent_is_not_settled(box: Box) -> None:
    """The replay broke off between its two marks."""
    box.put(dead(1))
    box.letters.mark([Action(place(1), T0_MS, REPLAYING, "", b"x", 0)])
    assert [letter.state for letter in box.found(Selection())] == [REPLAYING]


def test_the_same_place_in_two_epochs_is_two_letters(box: Box) -> None:
    """The topic was recreated, or its log read again."""
    box.put(dead(1, "old"))
    box.put(dead(1, "new"), epoch=1)
    box.letters.mark([Action(replace(place(1), epoch=1), T0_MS, DISCARDED, "")])
    assert [(letter.reason, letter.state) for letter in box.found()] == [("old", OPEN), ("new", DISCARDED)]


def test_marking_nothing_is_fine(box: Box) -> None:
    """A replay may refuse all."""
    box.letters.mark([])
    assert box.letters.count(ALL) == 0


def test_letters_can_be_marked_while_they_are_read(box: Box) -> None:
    """A replay goes through many."""
    box.put(*(dead(n) for n in range(1000)))
    for n, letter in enumerate(box.letters.find(Selection())):
        if n % 100 == 0:
            box.letters.mark([Action(letter.place, T0_MS, DISCARDED, "")])
    assert box.letters.count(Selection()) == 990


def test_the_shape_of_a_reason() -> None:
    """Numbers and quoted values go, words and apostrophes stay."""
    assert shape("1,234.5 s ahead of the broker's time") == "# s ahead of the broker's time"
    assert shape("not 'a b', not 'c'") == "not '…', not '…'"
    assert shape("-3 below 0, byte 12 is not UTF-8") == "# below # byte # is not UTF-8"
    assert safe_shape("can't be 'a' b 'c\" d', 5") == "can't be '…', #"
    assert longest_piece("must be one of a, not '…', # s") == "must be one of a, not"
    assert longest_piece("# '…'") == ""


def noted(offset: int, *indexes: int, source: str = "gw-1") -> Noted:
    """Refused events appended `offset` seconds after T0 of which only the places are kept."""
    return Noted(offset, T0_MS + offset * 1000, source, array("I", indexes))


def test_what_is_noted_is_there_until_it_is_a_letter(box: Box) -> None:
    """By place, whatever is noted and stored how often; in the order of the log."""
    more = changes(CAMERA, 1, noted=[noted(9, 0)], epoch=1)
    box.note(noted(5, 0, 2, 2**32 - 1), noted(3, 0, source="cam-7"))
    box.sink.put_noted(CAMERA, [more, more])
    assert box.letters.count_noted(ALL) == 5
    box.put(dead(5, index=2), dead(5, index=1), dead(4))
    assert [(n.place, n.stream, n.append_ms, n.source, n.indexes) for n in box.letters.noted(ALL)] == [
        (place(3), "camera", T0_MS + 3000, "cam-7", {0}),
        (place(5), "camera", T0_MS + 5000, "gw-1", {0, 2**32 - 1}),
        (Place(CAMERA.topic, 1, 9, 0, 1), "camera", T0_MS + 9000, "gw-1", {0}),
    ]
    box.put(dead(5), dead(5, index=2**32 - 1), dead(3))
    box.put(dead(9), partition=1)
    assert box.letters.count_noted(ALL) == 1
    box.put(dead(9), partition=1, epoch=1)
    assert (box.letters.count_noted(ALL), [*box.letters.noted(ALL)]) == (0, [])


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [1, 2, 3]),
        (Selection(stream="camera", topic=CAMERA.topic), [1, 2, 3]),
        (Selection(stream="qr"), []),
        (Selection(since_ms=T0_MS + 2000, until_ms=T0_MS + 3000), [2]),
        (Selection(messages=((CAMERA.topic, 0, 3), (CAMERA.topic, 1, 2))), [3]),
        (Selection(field="kind", reason="wrong", states=(DISCARDED,)), [1, 2, 3]),
    ],
)
def test_what_is_noted_is_selected_by_stream_time_and_place(
    box: Box, selection: Selection, expected: list[int]
) -> None:
    """Its reason is not known before it is fetched."""
    box.note(*(noted(n, 0) for n in (1, 2, 3)))
    assert [n.place.offset for n in box.letters.noted(selection)] == expected
    assert box.letters.count_noted(selection) == len(expected)
