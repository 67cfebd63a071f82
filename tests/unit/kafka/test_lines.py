"""Lines to messages: keys, bundles, and what is refused by line and field."""

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.lines import MAX_MESSAGE_BYTES, LineMessage, LineReader, Problem, lines
from schemas.codec import Codec
from streams.core.home import partition_of
from streams.registry import load_streams

NOW_MS = 1_750_000_000_000
SKEW_MS = 300_000
CAMERA = load_streams()["camera"]
VALID: dict[str, Any] = {
    "event_id": "e1",
    "occurred_at": NOW_MS,
    "ward_code": "02203",
    "camera_id": "cam-02203-009",
    "kind": "vehicle",
}


def checking() -> LineReader:
    """A reader that lets only valid events pass."""
    return LineReader(CAMERA, Codec(CAMERA.event), NOW_MS + SKEW_MS)


def raw() -> LineReader:
    """A reader that lets all pass."""
    return LineReader(CAMERA, Codec(CAMERA.event), None)


def encoded(*events: dict[str, Any]) -> bytes:
    """One line: an event, or a bundle of several."""
    return json.dumps(events[0] if len(events) == 1 else events, ensure_ascii=False).encode()


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=20), st.booleans())
def test_lines_are_split_at_line_feeds_only(parts: list[bytes], packed: bool) -> None:
    """All bytes but LF stay, plain or gzip, numbered from 1; a last line may lack its LF."""
    data = b"\n".join(parts)
    if data[:2] == b"\x1f\x8b":
        return
    source = io.BytesIO(gzip.compress(data) if packed else data)
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert list(lines(source)) == list(enumerate(expected, start=1))


def test_a_line_may_span_many_reads() -> None:
    """A line longer than what is read at once comes out whole."""
    long = b"x" * 3_000_000
    assert [len(value) for _, value in lines(io.BytesIO(b"a\n" + long + b"\nb"))] == [1, len(long), 1]


def test_an_event_is_keyed_by_its_stream() -> None:
    """The key is the camera's id, the value the line's own bytes."""
    line = encoded(VALID)
    assert checking().read(1, line) == LineMessage(b"cam-02203-009", line, 1)


def test_a_bundle_of_one_key_travels_as_it_is() -> None:
    """To the last byte, and under that key."""
    line = b" " + encoded(VALID, VALID | {"event_id": "e2"})
    message = checking().read(1, line)
    assert message == LineMessage(b"cam-02203-009", line, 2)
    assert isinstance(message, LineMessage)
    assert list(message.at_home(lambda _: pytest.fail("nothing to ask"))) == [message]


def bundle(line: bytes) -> LineMessage:
    """What a line becomes that is let pass."""
    message = checking().read(1, line)
    assert isinstance(message, LineMessage)
    return message


@given(st.lists(st.sampled_from(["a", "b", "cầu", "d", "e"]), min_size=1, max_size=12), st.integers(1, 4))
def test_a_bundle_is_sent_in_as_many_messages_as_its_events_have_homes(keys: list[str], number: int) -> None:
    """Each event once, in its own bytes; those of a home in their order, under a key of that home."""
    events = [VALID | {"event_id": f"e{i}", "camera_id": key} for i, key in enumerate(keys)]
    home: Callable[[bytes], int] = lambda key: partition_of(key, number)  # noqa: E731
    sent = bundle(b"[" + b" , ".join(map(encoded, events)) + b"]").at_home(home)
    found = [(home(m.key), json.loads(m.value), m.events) for m in sent]
    wanted = {home(key.encode()): list[dict[str, Any]]() for key in keys}
    for event in events:
        wanted[home(event["camera_id"].encode())].append(event)
    assert found == [(at, some, len(some)) for at, some in wanted.items()]


def test_a_bundle_of_one_home_is_not_taken_apart() -> None:
    """Whatever keys its events have."""
    line = encoded(VALID | {"camera_id": "first"}, VALID | {"event_id": "e2", "camera_id": "second"})
    message = bundle(line)
    assert (message.key, message.value, message.events) == (b"first", line, 2)
    assert list(message.at_home(lambda _: 3)) == [message]


@pytest.mark.parametrize("blank", [b"", b"  ", b"\r", b"\t"])
def test_blank_lines_are_nothing(blank: bytes) -> None:
    """Editors leave them at the end of files."""
    assert checking().read(7, blank) is None


@pytest.mark.parametrize(
    ("line", "place", "field"),
    [
        (encoded(VALID | {"count": 0}), "line 4", "count"),
        (encoded(VALID | {"plate": "22B1-123.45"}), "line 4", "plate"),
        (encoded({k: v for k, v in VALID.items() if k != "ward_code"}), "line 4", "ward_code"),
        (encoded(VALID | {"occurred_at": "2025-03-01T07:30:00"}), "line 4", "occurred_at"),
        (encoded(VALID | {"occurred_at": NOW_MS + SKEW_MS + 1}), "line 4", "occurred_at"),
        (encoded(VALID, VALID | {"kind": "ghost"}), "line 4, event 2", "kind"),
        (encoded(VALID, VALID | {"occurred_at": NOW_MS + SKEW_MS + 1}), "line 4, event 2", "occurred_at"),
        (b"{", "line 4", ""),
        (b"[]", "line 4", ""),
        (b"\xff\xfe", "line 4", ""),
        (b"x" * (MAX_MESSAGE_BYTES + 1), "line 4", ""),
    ],
)
def test_what_is_refused_is_named_by_line_and_field(line: bytes, place: str, field: str) -> None:
    """One problem, which says where it is and which field is at fault."""
    problems = checking().read(4, line)
    assert isinstance(problems, list)
    (problem,) = problems
    assert problem.field == field
    assert str(problem).startswith(f"{place}: {field}")


def test_a_bundle_is_refused_as_a_whole() -> None:
    """Each of its bad events is named, and the good ones are not sent alone."""
    problems = checking().read(1, encoded(VALID | {"count": 0}, VALID, VALID | {"kind": "ghost"}))
    assert isinstance(problems, list)
    assert [p.index for p in problems] == [0, 2]


def test_an_event_at_the_edge_of_the_skew_is_sent() -> None:
    """The allowance itself is allowed."""
    assert isinstance(checking().read(1, encoded(VALID | {"occurred_at": NOW_MS + SKEW_MS})), LineMessage)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (encoded(VALID), b"cam-02203-009"),
        (encoded(VALID | {"count": -1}), b"cam-02203-009"),
        (encoded({"camera_id": "only"}), b"only"),
        (encoded(VALID | {"camera_id": "a"}, VALID | {"camera_id": "b"}), b"a"),
        (b'[17, {"camera_id": "c"}]', b"c"),
        (encoded(VALID | {"camera_id": "cầu Nông Tiến"}), "cầu Nông Tiến".encode()),
    ],
)
def test_raw_lines_are_keyed_where_a_key_can_be_read(line: bytes, key: bytes) -> None:
    """An event goes home also raw; a bundle does not, whose bytes are sent as they are."""
    message = raw().read(1, line)
    assert message == LineMessage(key, line, 0)
    assert isinstance(message, LineMessage)
    assert list(message.at_home(lambda _: pytest.fail("nothing to ask"))) == [message]


@pytest.mark.parametrize(
    "line", [b"", b"\xff\xfe\x00", b'{"camera_id": 5}', b"[]", b'{"camera_id": ""}', b"42", b"{"]
)
def test_raw_lines_without_a_key_are_keyed_by_their_bytes(line: bytes) -> None:
    """The same bytes always have the same key; others have, in all likelihood, another."""
    first, again, other = raw().read(1, line), raw().read(9, line), raw().read(1, line + b" x")
    assert isinstance(first, LineMessage)
    assert isinstance(other, LineMessage)
    assert first == again
    assert first.key != other.key
    assert first.value == line


def test_raw_lines_too_long_for_kafka_are_refused() -> None:
    """What no broker would take is said before anything is sent."""
    assert raw().read(3, b"x" * (MAX_MESSAGE_BYTES + 1)) == [
        Problem(3, None, "", "8,000,001 bytes, more than the 8,000,000 that a message may have")
    ]
