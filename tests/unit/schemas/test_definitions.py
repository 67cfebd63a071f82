"""Every stream's event: its examples, its JSON Schema; a new stream gets these tests for free."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from schemas.codec import Bundle, Codec
from schemas.errors import SchemaError
from schemas.event import Event, epoch_ms
from schemas.jsonschema import FOLDER, examples, json_schema, stale_schemas, write_schemas
from streams.registry import load_streams

SPECS = load_streams()
EVENTS = {spec.topic: spec.event for spec in SPECS.values()}
each_event = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)


def cases(which: str) -> list[Any]:
    """Every example of every stream, named by its topic."""
    return [
        pytest.param(event, example, id=f"{topic}-{n}")
        for topic, event in EVENTS.items()
        for n, example in enumerate(getattr(examples(event), which))
    ]


@pytest.mark.parametrize(("event", "example"), cases("valid"))
def test_valid_examples_are_taken(event: type[Event], example: dict[str, object]) -> None:
    """And come out the same when they are sent on."""
    codec = Codec(event)
    decoded = codec.decode(orjson.dumps(example))
    assert isinstance(decoded, event)
    assert codec.decode(codec.encode(decoded)) == decoded


@pytest.mark.parametrize(("event", "example"), cases("invalid"))
def test_invalid_examples_are_refused_for_their_field(
    event: type[Event], example: tuple[str, dict[str, object]]
) -> None:
    """The refusal names the field that the example is there for."""
    field, value = example
    decoded = Codec(event).decode(orjson.dumps(value))
    assert isinstance(decoded, Bundle)
    assert [r.field for r in decoded.refusals] == [field]


@each_event
def test_examples_show_every_field(event: type[Event]) -> None:
    """No field goes without a valid example, and each of the event's own without an invalid one."""
    shown = {name for example in examples(event).valid for name in example}
    refused = {field for field, _ in examples(event).invalid}
    common = {f.name for f in msgspec.structs.fields(Event)}
    assert refused <= {f.name for f in msgspec.structs.fields(event)}
    for field in msgspec.structs.fields(event):
        assert field.name in shown or field.name in refused
    assert refused - common


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_an_event_has_its_key_and_says_so(spec: Any) -> None:
    """The key field is a required text, and the module's docstring names topic and key for producers."""
    (key,) = [f for f in msgspec.structs.fields(spec.event) if f.name == spec.key]
    assert key.required
    document = orjson.loads(json_schema(spec.topic, spec.event))["description"]
    assert spec.topic in document
    assert f"Key: {spec.key}" in document


def test_the_json_schemas_are_up_to_date() -> None:
    """The generated files are those of the Structs: `songlo schemas` writes them."""
    assert stale_schemas(EVENTS) == []
    assert len(list(FOLDER.iterdir())) == len(EVENTS)


def test_written_schemas_are_not_stale_and_old_ones_go(tmp_path: Path) -> None:
    """A topic that is gone takes its file with it; a file changed by hand is found."""
    gone = tmp_path / "gone.topic.schema.json"
    gone.write_text("{}")
    assert gone in stale_schemas(EVENTS, tmp_path)
    paths = write_schemas(EVENTS, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert stale_schemas(EVENTS, tmp_path) == []
    paths[0].write_bytes(paths[0].read_bytes() + b" ")
    assert stale_schemas(EVENTS, tmp_path) == [paths[0]]


@each_event
def test_a_json_schema_says_what_the_codec_checks(event: type[Event]) -> None:
    """One event or a bundle; fields, bounds and choices; times as numbers or text."""
    schema = orjson.loads(json_schema("a.topic", event))
    assert [one.get("type", one.get("$ref")) for one in schema["anyOf"]] == [
        f"#/$defs/{event.__name__}",
        "array",
    ]
    definition = schema["$defs"][event.__name__]
    assert definition["properties"]["occurred_at"]["type"] == ["integer", "string"]
    assert definition["properties"]["event_id"]["maxLength"] == 64
    assert definition["required"] == [f.name for f in msgspec.structs.fields(event) if f.required]
    assert schema["examples"] == list(examples(event).valid)


def test_a_plate_is_forbidden_in_the_json_schema() -> None:
    """Nothing validates against it."""
    schema = orjson.loads(json_schema("camera.events", EVENTS["camera.events"]))
    assert schema["$defs"]["CameraEvent"]["properties"]["plate"]["not"] == {}


def test_an_event_without_examples_is_an_error_that_names_its_module() -> None:
    """Examples are part of a definition."""
    with pytest.raises(SchemaError, match=r"schemas\.event"):
        examples(Event)


def test_milliseconds_are_cut_downwards() -> None:
    """Also before 1970."""
    moment = msgspec.convert("1969-12-31T23:59:59.9999Z", datetime)
    assert epoch_ms(moment) == -1
    assert epoch_ms(17) == 17
