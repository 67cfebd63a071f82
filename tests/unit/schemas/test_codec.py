"""What a codec makes of messages: events, bundles, refusals."""

import sys
from typing import Any

import orjson
import pytest

from schemas.camera import CameraEvent
from schemas.codec import Bundle, Codec, Refusal, raw_events
from schemas.qr import QrReport
from schemas.service import ServiceEvent

CODEC = Codec(CameraEvent)
FIELDS: dict[str, Any] = {
    "event_id": "e1",
    "occurred_at": 1746064800123,
    "ward_code": "02203",
    "camera_id": "c1",
    "kind": "vehicle",
}
STEP: dict[str, Any] = {
    "event_id": "s1",
    "occurred_at": 1746064800123,
    "ward_code": "02203",
    "case_id": "case",
    "procedure_code": "1.001193",
    "office_code": "oso-02203",
    "channel": "online",
    "action": "returned",
}


def message(**changes: object) -> bytes:
    """A camera event's bytes, with fields of its own."""
    return orjson.dumps({**FIELDS, **changes})


def event(value: bytes | None) -> CameraEvent:
    """The one event of a message, which must be valid."""
    answer = CODEC.decode(value)
    assert isinstance(answer, CameraEvent), answer
    return answer


def bundle(value: bytes | None) -> Bundle[CameraEvent]:
    """What a message holds that is not one valid event."""
    answer = CODEC.decode(value)
    assert isinstance(answer, Bundle), answer
    return answer


def refusal(value: bytes | None) -> Refusal:
    """The one refusal of a message that holds nothing else."""
    answer = bundle(value)
    assert not answer.events
    assert len(answer.refusals) == 1
    return answer.refusals[0]


def test_a_valid_event_is_handed_out_as_itself() -> None:
    """The common case costs no wrapper, and what is absent has its default."""
    seen = event(message(speed_kmh=42, direction=None))
    assert (seen.event_id, seen.occurred_at, seen.count, seen.speed_kmh) == ("e1", 1746064800123, 1, 42.0)
    assert seen.direction is None
    assert seen.object_class is None


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    """A producer may add to its events, in any alphabet and with any escape."""
    assert event(message(lane=2, note=["\x00\x7f\u00a0", {"plate": "22A"}, None])) == event(message())


@pytest.mark.parametrize(
    "text",
    [
        "2025-05-01T02:00:00.123Z",
        "2025-05-01T09:00:00.123+07:00",
        "2025-05-01T09:00:00.123999999+07:00",
        "2025-04-30t22:30:00.1230-03:30",
        "2025-05-01 02:00:00.123+00:00",
    ],
)
def test_times_as_text_come_out_as_milliseconds(text: str) -> None:
    """RFC 3339 with any offset is the same instant, cut to the millisecond, never rounded."""
    assert event(message(occurred_at=text)) == event(message(occurred_at=1746064800123))


def test_nanoseconds_do_not_round_into_the_next_minute() -> None:
    """The last nanosecond of a window is in that window; digits in other fields stay as they are."""
    name = "x T00:00:59.123456789"
    seen = event(message(occurred_at="2025-05-01T00:00:59.999999999Z", event_id=name))
    assert seen.occurred_at % 60_000 == 59_999
    assert seen.event_id == name


@pytest.mark.parametrize("text", ["Ngã tư Phan Thiết", "市場", "a b", "é" * 64, "e\u0301", "🚦", "\\", '"'])
def test_any_printable_text_is_an_identifier(text: str) -> None:
    """Length counts characters, not bytes; all alphabets are welcome, escaped or not."""
    assert event(message(camera_id=text)).camera_id == text
    escaped = text.encode("utf-16-be").hex(" ", 2).split()
    in_ascii = message(camera_id="?").replace(b"?", b"".join(b"\\u" + unit.encode() for unit in escaped))
    assert event(in_ascii).camera_id == text


def test_an_unprintable_character_hides_in_no_field() -> None:
    """Every text field is looked at on every path: plain bytes, escapes, other alphabets."""
    for name in (
        "event_id",
        "ward_code",
        "camera_id",
        "object_class",
        "violation_code",
        "direction",
        "plate_hash",
    ):
        for text in ("a\x7f", "a\x1f", "a\u00a0", "a\u202e", "a\ufeff", "a\ue000"):
            assert refusal(message(**{name: text})).field == name


def test_a_bundle_keeps_order_and_accounts_for_each_element() -> None:
    """Valid elements pass, each invalid one is refused with its own bytes."""
    elements = [
        message(event_id="a"),
        message(plate="22A-123.45"),
        b'{"event_id" : "b"}',
        message(event_id="ê"),
        b"[]",
        b"7",
        message(occurred_at="2025-05-01T09:00:00+07:00"),
    ]
    answer = bundle(b" [" + b" , ".join(elements) + b"]\n")
    assert [(i, e.event_id) for i, e in answer.events] == [(0, "a"), (3, "ê"), (6, "e1")]
    assert [(r.index, r.field, r.raw) for r in answer.refusals] == [
        (1, "plate", elements[1]),
        (2, "occurred_at", elements[2]),
        (4, "", b"[]"),
        (5, "", b"7"),
    ]


def test_a_bundle_of_valid_events_has_no_refusals() -> None:
    """The plain bundle of a gateway on a thin line."""
    answer = bundle(orjson.dumps([FIELDS, {**FIELDS, "event_id": "e2"}]))
    assert [(i, e.event_id) for i, e in answer.events] == [(0, "e1"), (1, "e2")]
    assert answer.refusals == []


def test_bad_utf8_in_one_element_spares_the_others() -> None:
    """Also in a field that nobody reads: JSON is UTF-8 throughout."""
    bad = message(note="?").replace(b"?", b"\xff")
    answer = bundle(b"[" + bad + b"," + message() + b"]")
    assert [i for i, _ in answer.events] == [1]
    assert [(r.index, r.raw) for r in answer.refusals] == [(0, bad)]


def test_rules_across_fields_hold_in_bundles_too() -> None:
    """`check` is called for each element, and equality is allowed."""
    codec = Codec(ServiceEvent)
    at = STEP["occurred_at"]
    answer = codec.decode(orjson.dumps([{**STEP, "submitted_at": at}, {**STEP, "submitted_at": at + 1}]))
    assert isinstance(answer, Bundle)
    assert [i for i, _ in answer.events] == [0]
    assert [(r.index, r.field) for r in answer.refusals] == [(1, "submitted_at")]


def test_sums_beyond_32_bits_are_exact() -> None:
    """The largest amount is the largest integer that every JSON reader keeps."""
    report = {
        "event_id": "r",
        "occurred_at": 1746064800123,
        "ward_code": "02203",
        "merchant_id": "m",
        "merchant_category": "market",
        "provider": "p",
        "succeeded": 10**12,
        "failed": 0,
        "amount_vnd": 2**53 - 1,
    }
    seen = Codec(QrReport).decode(orjson.dumps(report))
    assert isinstance(seen, QrReport)
    assert (seen.succeeded, seen.amount_vnd) == (10**12, 9_007_199_254_740_991)


def at_depth(levels: int, value: bytes) -> object:
    """What the codec answers when its caller stands this many calls deep."""
    return CODEC.decode(value) if levels == 0 else at_depth(levels - 1, value)


@pytest.mark.parametrize("nesting", [100, 400, 600, 800, 2_000, 200_000])
def test_how_deep_json_may_nest_does_not_depend_on_the_caller(nesting: int) -> None:
    """A worker and a test must come to the same answer, wherever they stand on their stacks."""
    value = message()[:-1] + b',"extra":' + b"[" * nesting + b"]" * nesting + b"}"
    levels = sys.getrecursionlimit() // 2
    assert at_depth(levels, value) == CODEC.decode(value)


def test_decode_all_answers_like_decode_in_order() -> None:
    """Failures of every kind in the middle of a batch change nothing around them."""
    values = [
        message(event_id="a"),
        None,
        message(event_id="b", object_class="xe máy"),
        b"",
        message(plate=None),
        b"[" + message() + b"]",
        message(camera_id="\x7f"),
        b"[" * 100_000,
        message(occurred_at="2025-05-01T09:00:00+07:00"),
        message(event_id="z"),
    ]
    answers = CODEC.decode_all(values)
    assert answers == [CODEC.decode(v) for v in values]
    assert isinstance(answers[-1], CameraEvent)
    assert CODEC.decode_all([]) == []


def test_decode_all_checks_rules_across_fields() -> None:
    """Also where every message is plain."""
    codec = Codec(ServiceEvent)
    late = orjson.dumps({**STEP, "submitted_at": STEP["occurred_at"] + 1})
    values = [orjson.dumps(STEP), late, orjson.dumps(STEP)]
    assert codec.decode_all(values) == [codec.decode(v) for v in values]
    assert isinstance(codec.decode(late), Bundle)


def test_an_encoded_event_is_decoded_as_itself() -> None:
    """What is absent is left out of the message."""
    seen = event(message(object_class="xe máy", count=3, speed_kmh=0.1))
    assert event(CODEC.encode(seen)) == seen
    assert b"null" not in CODEC.encode(seen)
    assert b"plate" not in CODEC.encode(seen)


def test_the_bytes_of_one_event_of_a_message() -> None:
    """A dead letter of a bundle holds its element only."""
    assert raw_events(message())[0] == message()
    assert raw_events(b" [ 1,\n" + message() + b" ]")[1] == message()


def test_an_event_must_be_flat() -> None:
    """A field that the codec could not check in full fails where the codec is made, by name."""

    class Nested(CameraEvent, frozen=True, kw_only=True):
        lanes: list[str] | None = None

    with pytest.raises(TypeError, match=r"Nested\.lanes"):
        Codec(Nested)
