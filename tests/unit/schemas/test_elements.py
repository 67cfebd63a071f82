"""How many events a message may hold, and what is said of one that holds more."""

import tracemalloc
from io import BytesIO

import orjson
import pytest

from infra.kafka.lines import LineReader, lines
from schemas.camera import CameraEvent
from schemas.codec import MOST_EVENTS, Bundle, Codec
from schemas.elements import has_more_than
from streams.catalog.camera import SPEC
from tests.support.events import T0_MS, camera_event, message

TOO_MANY = "more than 10,000 events in one message: send fewer, or set SONGLO_BUNDLE_EVENTS"


def reason(value: bytes, codec: Codec[CameraEvent] | None = None) -> str:
    """Why a message is refused as a whole."""
    answer = (codec or Codec(CameraEvent)).decode(value)
    assert isinstance(answer, Bundle)
    (refusal,) = answer.refusals
    assert (answer.events, refusal.index) == ([], 0)
    return refusal.reason


@pytest.mark.parametrize(
    ("array", "number"),
    [
        (b"[0]", 1), (b" [1 , 2\n]", 2), (b'["a,b"]', 1), (rb'["\",\\",","]', 2), (b'[{"a":1,"b":2},{}]', 2),
        (b"[[1,2,3],[],[[1,2],3]]", 3), (b'[{"a":"]"},"[",1]', 3), (b"[1,[2,3],4]", 3),
        ('["ế,"]'.encode(), 1), (rb'["\\\",","\\\\\\",0]', 3), (rb'["\\u002c\\\",\n",","]', 2),
    ],
)  # fmt: skip
def test_elements_are_those_of_the_array_itself(array: bytes, number: int) -> None:
    """Not the commas of texts, nor of what it holds."""
    assert not has_more_than(number, array)
    assert number == 1 or has_more_than(number - 1, array)
    assert len(orjson.loads(array)) == number


def test_a_message_may_hold_as_many_events_as_the_limit_says() -> None:
    """One more, and all of them are one refusal."""
    codec = Codec(CameraEvent, 3)
    events = [camera_event(f"e{n}", 0) for n in range(4)]
    whole = codec.decode(message(*events[:3]))
    assert isinstance(whole, Bundle)
    assert len(whole.events) == 3
    assert reason(message(*events), codec).startswith("more than 3 events in one message")


@pytest.mark.parametrize(
    "value",
    [b"[" + b"0," * 4_000_000 + b"0]", b"[" + b'"",' * 2_000_000 + b"0]", b"[" + b"{}," * 2_000_000 + b"{}]"],
    ids=["numbers", "texts", "objects"],
)
def test_millions_of_elements_take_little_memory(value: bytes) -> None:
    """They were half a million dead letters for each megabyte."""
    tracemalloc.start()
    try:
        assert reason(value) == TOO_MANY
        assert tracemalloc.get_traced_memory()[1] < 4 * len(value)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"[" + b"0," * MOST_EVENTS, "broken JSON: it ends in the middle of a value"),
        (b"[0,," + b"0," * MOST_EVENTS + b"0]", "broken JSON: invalid character (byte 3)"),
        (b"[" + b"0," * MOST_EVENTS + b"[" * 5000 + b"]" * 5000 + b"]", "JSON nested too deeply"),
        (
            b"[" + b"0," * MOST_EVENTS + b"0] x",
            f"broken JSON: trailing characters (byte {2 * MOST_EVENTS + 5})",
        ),
        (b"[[" + b"0," * MOST_EVENTS + b"0]]", "expected a JSON object, got array"),
    ],
)
def test_what_is_broken_keeps_its_reason(value: bytes, why: str) -> None:
    """However many elements it seems to have."""
    assert reason(value) == why


def test_produce_says_that_a_line_holds_too_many() -> None:
    """The line, and what to do."""
    reader = LineReader(SPEC, Codec(SPEC.event), T0_MS + 60_000)
    line = message(*(camera_event(f"e{n}", 0) for n in range(MOST_EVENTS + 1)))
    ((number, value),) = lines(BytesIO(line))
    problems = reader.read(number, value)
    assert [str(problem) for problem in problems] == [f"line 1: {TOO_MANY}"]  # type: ignore[union-attr]  # a list
