"""JSON Schema of the messages of a topic, for producers; generated from the Structs, never by hand."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson

from schemas.errors import SchemaError
from schemas.event import Event, Forbidden

FOLDER = Path(__file__).parent / "json"
"""Where the generated files are kept: one `<topic>.schema.json` for each topic."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Events that are taken, and events that are refused with the field that is at fault."""

    valid: tuple[dict[str, object], ...]
    invalid: tuple[tuple[str, dict[str, object]], ...]


def examples(event: type[Event]) -> Examples:
    """The examples beside an event's definition; raises SchemaError when its module has none."""
    module = sys.modules[event.__module__]
    try:
        return Examples(module.VALID_EXAMPLES, module.INVALID_EXAMPLES)
    except AttributeError as error:
        raise SchemaError(f"{event.__module__}: define VALID_EXAMPLES and INVALID_EXAMPLES") from error


def json_schema(topic: str, event: type[Event]) -> bytes:
    """The schema of a message of the topic: one event, or an array of at least one; indented UTF-8 JSON.

    It can't say all that a `Codec` checks: printable characters, the range of a time written as text,
    and rules across fields are in descriptions only.
    """
    (one,), definitions = msgspec.json.schema_components(
        (event,), schema_hook=_forbidden, ref_template="#/$defs/{name}"
    )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{topic}.schema.json",
        "title": topic,
        "description": (sys.modules[event.__module__].__doc__ or "").strip(),
        "anyOf": [one, {"type": "array", "items": one, "minItems": 1}],
        "$defs": _with_written_times(definitions),
        "examples": examples(event).valid,
    }
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def write_schemas(events: Mapping[str, type[Event]], folder: Path = FOLDER) -> list[Path]:
    """Write the schema of each topic's event, remove those of topics that are gone; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {folder / f"{topic}.schema.json": event for topic, event in events.items()}
    for gone in _schemas_in(folder):
        if gone not in paths:
            gone.unlink()
    for path, event in paths.items():
        path.write_bytes(json_schema(path.name.removesuffix(".schema.json"), event))
    return list(paths)


def stale_schemas(events: Mapping[str, type[Event]], folder: Path = FOLDER) -> list[Path]:
    """The files in the folder that differ from what `write_schemas` would leave there."""
    expected = {folder / f"{topic}.schema.json": json_schema(topic, event) for topic, event in events.items()}
    found = {path: path.read_bytes() for path in _schemas_in(folder)}
    return sorted(p for p in expected.keys() | found.keys() if expected.get(p) != found.get(p))


def _schemas_in(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob("*.schema.json"))


def _forbidden(forbidden: type[Forbidden]) -> dict[str, Any]:
    return {"not": {}, "description": forbidden.reason}


def _with_written_times(schema: Any) -> Any:
    """The schema with every `Instant`, an integer once decoded, as what a message may hold."""
    if isinstance(schema, dict):
        widened = {key: _with_written_times(value) for key, value in schema.items()}
        return widened | {"type": ["integer", "string"]} if schema.get("format") == "date-time" else widened
    return [_with_written_times(item) for item in schema] if isinstance(schema, list) else schema
