"""Laws of the codec, over all bytes and over messages that are nearly right."""

import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.camera import CameraEvent
from schemas.codec import Bundle, Codec, raw_events
from schemas.errors import LONGEST_REASON
from schemas.event import END_MS, MIN_MS, Event
from schemas.jsonschema import examples
from streams.registry import load_streams

CODECS = {spec.event: Codec(spec.event) for spec in load_streams().values()}
CAMERA = Codec(CameraEvent)
GOOD: dict[str, Any] = {
    "event_id": "e1",
    "occurred_at": 1746064800123,
    "ward_code": "02203",
    "camera_id": "c1",
    "kind": "vehicle",
}

events = st.sampled_from(list(CODECS))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=70)
    | st.sampled_from(
        ["2025-05-01T09:00:00+07:00", "2025-05-01T09:00:00", "vehicle", "online", "x" * 65, "\x7f"]
    )
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def nearly_right(draw: st.DrawFn, event: type[Event] | None = None) -> tuple[type[Event], dict[str, Any]]:
    """An event like its examples, with some fields changed, added or left out."""
    kind = event or draw(events)
    fields = dict(draw(st.sampled_from(examples(kind).valid)))
    names = [f.name for f in msgspec.structs.fields(kind)]
    for name in draw(st.lists(st.sampled_from([*names, "plate", "extra"]), max_size=3)):
        if draw(st.booleans()):
            fields[name] = draw(json_values)
        else:
            fields.pop(name, None)
    return kind, fields


@st.composite
def written(draw: st.DrawFn, value: Any) -> bytes:
    """JSON of a value, in one of the ways that producers write it, at times damaged."""
    text = (
        msgspec.json.encode(value) if draw(st.booleans()) else orjson.dumps(value, option=orjson.OPT_INDENT_2)
    )
    if not draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.binary(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


@st.composite
def messages(draw: st.DrawFn) -> tuple[type[Event], bytes | None]:
    """Anything that a topic may hold, mostly things that are nearly right."""
    event = draw(events)
    one = nearly_right(event).map(lambda made: made[1])
    noise = st.none() | st.binary(max_size=200) | json_values.map(orjson.dumps)
    value = st.one_of(
        one.flatmap(written), one.flatmap(written), st.lists(one, max_size=4).flatmap(written), noise
    )
    return event, draw(value)


@given(messages())
def test_no_message_makes_a_codec_raise(sent: tuple[type[Event], bytes | None]) -> None:
    """One event, or a bundle that accounts for what came: indices without gap or repeat, raw bytes kept."""
    kind, value = sent
    answer = CODECS[kind].decode(value)
    if not isinstance(answer, Bundle):
        assert type(answer) is kind
        return
    indices = sorted([i for i, _ in answer.events] + [r.index for r in answer.refusals])
    assert indices == list(range(len(indices)))
    assert indices
    for refusal in answer.refusals:
        assert refusal.raw in (value or b"")
        assert refusal.reason
        assert refusal.reason.isprintable()
        assert len(refusal.reason) <= LONGEST_REASON
        assert not refusal.field or refusal.field in {f.name for f in msgspec.structs.fields(kind)}


@given(st.binary())
def test_no_bytes_make_a_codec_raise(value: bytes) -> None:
    """Noise is one refusal with all its bytes."""
    for codec in CODECS.values():
        answer = codec.decode(value)
        assert isinstance(answer, Bundle)
        assert [r.raw for r in answer.refusals] == [value]


@given(
    st.lists(
        st.one_of(nearly_right(CameraEvent).map(lambda made: made[1]), json_values), min_size=1, max_size=6
    )
)
def test_a_bundle_has_one_answer_for_each_element(elements: list[Any]) -> None:
    """The answer that the element would have had by itself."""
    raw = [orjson.dumps(e) for e in elements]
    message = b"[" + b",".join(raw) + b"]"
    answer = CAMERA.decode(message)
    assert isinstance(answer, Bundle)
    events, refusals = dict(answer.events), {r.index: r for r in answer.refusals}
    assert len(answer.events) + len(answer.refusals) == len(elements)
    for index, one in enumerate(raw):
        assert raw_events(message)[index] == one
        if not one.startswith(b"["):  # an array in a bundle is no bundle
            alone = CAMERA.decode(one)
            if isinstance(alone, Bundle):
                (expected,) = alone.refusals
                got = refusals[index]
                assert (got.field, got.reason, got.raw) == (expected.field, expected.reason, one)
            else:
                assert events[index] == alone
        else:
            assert index in refusals


@given(messages())
def test_the_hot_path_and_the_careful_reader_agree(sent: tuple[type[Event], bytes | None]) -> None:
    """Being fast changes no answer."""
    kind, value = sent
    codec = CODECS[kind]
    assert codec.decode(value) == codec._otherwise(value)


@given(events, st.data())
def test_many_at_once_are_answered_like_each_alone(kind: type[Event], data: st.DataObject) -> None:
    """`decode_all` is `decode`, in order."""
    own = nearly_right(kind).flatmap(lambda made: written(made[1]))
    values = data.draw(st.lists(own | st.none() | st.binary(max_size=9), max_size=8))
    codec = CODECS[kind]
    assert codec.decode_all(values) == [codec.decode(v) for v in values]


@given(nearly_right())
def test_what_comes_out_keeps_every_rule(made: tuple[type[Event], dict[str, Any]]) -> None:
    """Checked from the values alone, not by the decoder's own rules."""
    kind, fields = made
    answer = CODECS[kind].decode(orjson.dumps(fields))
    if isinstance(answer, Bundle):
        return
    assert "plate" not in fields or kind is not CameraEvent
    for field in msgspec.structs.fields(kind):
        value = getattr(answer, field.name)
        if isinstance(value, str):
            assert 1 <= len(value) <= 64
            assert value.isprintable()
        if isinstance(value, int | float):
            assert 0 <= value <= 2**53
        if field.name in ("occurred_at", "submitted_at", "due_at") and value is not None:
            assert type(value) is int
            assert MIN_MS <= value < END_MS
    if "submitted_at" in fields and answer.submitted_at is not None:  # type: ignore[attr-defined]  # a service event
        assert answer.submitted_at <= answer.occurred_at  # type: ignore[attr-defined]  # a service event


@given(
    st.integers(MIN_MS, END_MS - 1),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.text(string.digits, max_size=6),
)
def test_a_time_is_the_same_instant_however_it_is_written(ms: int, offset: int, digits: str) -> None:
    """Any offset, and any digits after the millisecond, which are cut."""
    zone = timezone(timedelta(minutes=offset))
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(zone)
    text = moment.isoformat(timespec="milliseconds")
    text = f"{text[:23]}{digits}{text[23:]}"
    answer = CAMERA.decode(orjson.dumps({**GOOD, "occurred_at": text}))
    assert isinstance(answer, CameraEvent), answer
    assert answer.occurred_at == ms


@given(st.text(min_size=1, max_size=64))
def test_identifiers_are_taken_exactly_when_they_are_printable(text: str) -> None:
    """Raw or escaped, they come out as they went in."""
    for value in (orjson.dumps({**GOOD, "camera_id": text}), _in_ascii({**GOOD, "camera_id": text})):
        answer = CAMERA.decode(value)
        if text.isprintable():
            assert isinstance(answer, CameraEvent), answer
            assert answer.camera_id == text
        else:
            assert isinstance(answer, Bundle)
            assert [r.field for r in answer.refusals] == ["camera_id"]


def _in_ascii(value: object) -> bytes:
    """JSON in which every other character is escaped, as many producers write it."""
    text = orjson.dumps(value).decode()
    return "".join(c if c.isascii() else _escaped(c) for c in text).encode()


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be").hex(" ", 2).split()
    return "".join(f"\\u{unit}" for unit in units)
