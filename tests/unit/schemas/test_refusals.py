"""Everything that must be refused: the whole message as one dead letter, with a reason that helps."""

from typing import Any

import orjson
import pytest

from schemas.camera import CameraEvent
from schemas.codec import Bundle, Codec
from schemas.errors import LONGEST_REASON, Refused
from schemas.event import END_MS, MIN_MS

FIELDS: dict[str, Any] = {
    "event_id": "e1",
    "occurred_at": 1746064800123,
    "ward_code": "02203",
    "camera_id": "c1",
    "kind": "vehicle",
}
GOOD = orjson.dumps(FIELDS)


def having(name: str, json: str | bytes) -> bytes:
    """A camera event whose field is written like this."""
    value = json.encode() if isinstance(json, str) else json
    rest = {k: v for k, v in FIELDS.items() if k != name}
    return orjson.dumps(rest)[:-1] + b',"' + name.encode() + b'":' + value + b"}"


WHOLE_MESSAGES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "middle of a value"),
    "white space": (b" \n\t", "middle of a value"),
    "half an object": (GOOD[:40], "middle of a value"),
    "half a bundle": (b"[" + GOOD, "middle of a value"),
    "two objects": (GOOD + GOOD, "trailing"),
    "two objects on two lines": (GOOD + b"\n" + GOOD, "trailing"),
    "two bundles": (b"[" + GOOD + b"][" + GOOD + b"]", "trailing"),
    "a comma too many": (b"[" + GOOD + b",]", "broken JSON"),
    "an empty array": (b"[]", "empty array"),
    "an empty array with space": (b" [ ] ", "empty array"),
    "null": (b"null", "null"),
    "a number": (b"42", "int"),
    "a text": (b'"event"', "str"),
    "true": (b"true", "bool"),
    "NaN": (b"NaN", "broken JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "broken JSON"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "not UTF-8"),
    "bad UTF-8": (b"\xff\xfe\xfd", "not UTF-8"),
    "1 MB of zeros": (bytes(1_000_000), "broken JSON"),
    "1 MB of brackets": (b"[" * 1_000_000, "nested too deeply"),
    "1 MB of braces": (b'{"a":' * 200_000, "nested too deeply"),
    "1 MB of digits": (b"9" * 1_000_000, "out of range"),
    "1 MB of text": (b'"' + b"x" * 1_000_000 + b'"', "a JSON object"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not UTF-8"),
    "a magic byte before": (b"\x00\x00\x00\x00\x07" + GOOD, "broken JSON"),
}


@pytest.mark.parametrize(("value", "reason"), WHOLE_MESSAGES.values(), ids=WHOLE_MESSAGES)
def test_what_is_no_event_is_one_refusal_with_all_its_bytes(value: bytes, reason: str) -> None:
    """One dead letter for each message that can't be decoded; no field can be blamed."""
    answer = Codec(CameraEvent).decode(value)
    assert isinstance(answer, Bundle)
    assert answer.events == []
    ((index, raw, said),) = [(r.index, r.raw, r.reason) for r in answer.refusals]
    assert (index, raw) == (0, value)
    assert reason in said


def test_a_message_without_a_value_is_refused() -> None:
    """A tombstone is accounted for like any message."""
    answer = Codec(CameraEvent).decode(None)
    assert isinstance(answer, Bundle)
    assert [(r.index, r.field, r.raw) for r in answer.refusals] == [(0, "", b"")]
    assert "tombstone" in answer.refusals[0].reason


FIELDS_AT_FAULT: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("event_id", '""', "length >= 1"),
    "65 characters": ("event_id", f'"{"x" * 65}"', "length <= 64"),
    "65 characters that are 195 bytes": ("camera_id", f'"{"市" * 65}"', "length <= 64"),
    "null": ("event_id", "null", "null"),
    "a number as a text": ("camera_id", "17", "int"),
    "an object as a text": ("camera_id", '{"a": 1}', "object"),
    "an escaped NUL": ("camera_id", r'"\u0000"', "can't be printed"),
    "a raw NUL": ("camera_id", b'"a\x00"', "broken JSON"),
    "an escaped line end": ("camera_id", r'"a\nb"', "can't be printed"),
    "DEL": ("camera_id", '"a\x7f"', "can't be printed"),
    "NBSP": ("camera_id", '"a\u00a0b"', "can't be printed"),
    "an escaped NBSP": ("camera_id", r'"a\u00a0b"', "can't be printed"),
    "a zero width space": ("camera_id", '"a\u200bb"', "can't be printed"),
    "right to left override": ("camera_id", '"a\u202eb"', "can't be printed"),
    "bad UTF-8": ("camera_id", b'"a\xff"', "not UTF-8"),
    "overlong UTF-8": ("camera_id", b'"\xc0\xaf"', "not UTF-8"),
    "a surrogate as UTF-8": ("camera_id", b'"\xed\xa0\x80"', "not UTF-8"),
    "a lone high surrogate": ("camera_id", r'"a\ud800"', "surrogate"),
    "a lone high surrogate before text": ("camera_id", r'"\ud800 and much more text"', "surrogate"),
    "a lone low surrogate": ("camera_id", r'"a\udc00"', "surrogate"),
    "an unknown kind": ("kind", '"tractor"', "must be one of vehicle, person"),
    "a kind in capitals": ("kind", '"Vehicle"', "must be one of"),
    "no offset": ("occurred_at", '"2025-05-01T09:00:00"', "without an offset"),
    "a date": ("occurred_at", '"2025-05-01"', "RFC 3339"),
    "a number in a text": ("occurred_at", '"1746064800123"', "RFC 3339"),
    "yesterday": ("occurred_at", '"yesterday"', "RFC 3339"),
    "a fraction": ("occurred_at", "1746064800123.5", "epoch milliseconds"),
    "an exponent": ("occurred_at", "1.7e12", "epoch milliseconds"),
    "a null time": ("occurred_at", "null", "epoch milliseconds"),
    "a clock never set": ("occurred_at", "0", "never set"),
    "a clock never set, in text": ("occurred_at", '"1970-01-01T00:00:01Z"', "never set"),
    "seconds": ("occurred_at", "1746064800", "milliseconds"),
    "just before 2000": ("occurred_at", str(MIN_MS - 1), "before 2000"),
    "just before 2000, in text": ("occurred_at", '"2000-01-01T00:00:00+00:01"', "before 2000"),
    "2100": ("occurred_at", str(END_MS), "after 2099"),
    "2100, in text": ("occurred_at", '"2100-01-01T00:00:00Z"', "after 2099"),
    "microseconds": ("occurred_at", "1746064800123000", "after 2099"),
    "year 1 east of Greenwich": ("occurred_at", '"0001-01-01T00:00:00+23:59"', "before 2000"),
    "year 9999 west of Greenwich": ("occurred_at", '"9999-12-31T23:59:59-23:59"', "after 2099"),
    "a negative time": ("occurred_at", "-1", "before 2000"),
    "a huge time": ("occurred_at", "9" * 40, "after 2099"),
    "a monstrous time": ("occurred_at", "9" * 5000, "out of range"),
    "a plate": ("plate", '"22A-123.45"', "plate_hash"),
    "a null plate": ("plate", "null", "plate_hash"),
    "an empty plate": ("plate", '""', "plate_hash"),
    "a plate in parts": ("plate", '{"province": 22}', "plate_hash"),
    "an escaped plate": ("plate", r'"\u0032"', "plate_hash"),
    "nothing counted": ("count", "0", ">= 1"),
    "a negative count": ("count", "-1", ">= 1"),
    "a billion and one": ("count", "1000000001", "<= 1000000000"),
    "a huge count": ("count", "9" * 30, "<= 1000000000"),
    "a monstrous count": ("count", "9" * 5000, "out of range"),
    "a count with a fraction": ("count", "1.0", "int"),
    "a count as text": ("count", '"1"', "int"),
    "a boolean count": ("count", "true", "int"),
    "a null count": ("count", "null", "int"),
    "a leading zero": ("count", "01", "broken JSON"),
    "NaN": ("speed_kmh", "NaN", "broken JSON"),
    "infinity": ("speed_kmh", "Infinity", "broken JSON"),
    "minus infinity": ("speed_kmh", "-Infinity", "broken JSON"),
    "a number beyond all floats": ("speed_kmh", "1e999", "out of range"),
    "negative speed": ("speed_kmh", "-0.001", ">= 0"),
    "too fast": ("speed_kmh", "1000.001", "<= 1000"),
    "more than certain": ("confidence", "1.0000001", "<= 1"),
    "an empty optional text": ("direction", '""', "length >= 1"),
    "an array as a number": ("confidence", "[0.5]", "array"),
}


@pytest.mark.parametrize(("name", "json", "reason"), FIELDS_AT_FAULT.values(), ids=FIELDS_AT_FAULT)
def test_a_field_at_fault_is_named(name: str, json: str | bytes, reason: str) -> None:
    """Alone and in a bundle: the same field, the same reason, and the event's own bytes."""
    raw = having(name, json)
    answer = Codec(CameraEvent).decode(raw)
    assert isinstance(answer, Bundle)
    assert answer.events == []
    (refused,) = answer.refusals
    assert (refused.index, refused.field, refused.raw) == (0, name, raw)
    assert reason in refused.reason


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_named(name: str) -> None:
    """Each required field."""
    answer = Codec(CameraEvent).decode(orjson.dumps({k: v for k, v in FIELDS.items() if k != name}))
    assert isinstance(answer, Bundle)
    assert [(r.field, r.reason) for r in answer.refusals] == [(name, "missing, but required")]


def test_a_reason_is_one_short_printable_line() -> None:
    """Whatever a message held: operators read reasons in a terminal."""
    for text in ("a\x1b[2J" * 1000, "\x00" * 10_000, "\u202e" * 200, "\n" * 299):
        refused = Refused("kind", text)
        assert refused.reason.isprintable()
        assert len(refused.reason) <= LONGEST_REASON


def test_a_refusal_reads_well_in_a_line() -> None:
    """The field first, where there is one."""
    assert str(Refused("count", "expected int")) == "count: expected int"
    assert str(Refused("", "an empty array")) == "an empty array"
