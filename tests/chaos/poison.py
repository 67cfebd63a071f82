"""Messages that must be refused: those of the simulation, and some that only a malicious producer sends."""

from collections.abc import Callable
from random import Random
from typing import Any

import orjson

from infra.demo.simulate.mischief import GARBAGE

Event = dict[str, Any]


def _with_text(field: str, text: bytes) -> Callable[[Random, Event], bytes | None]:
    """The event with raw JSON text as one more field."""
    return lambda _rng, event: orjson.dumps(event)[:-1] + b',"%s":%s}' % (field.encode(), text)


# an hour ahead is no fault in traffic whose times lie hours back
POISON: dict[str, Callable[[Random, Event], bytes | None]] = {
    **{name: make for name, make in GARBAGE.items() if name != "future time"},
    "tombstone": lambda _rng, _event: None,
    "no bytes": lambda _rng, _event: b"",
    "null": lambda _rng, _event: b"null",
    "a megabyte": lambda _rng, event: orjson.dumps(event | {"event_id": "x" * 1_000_000}),
    "deep": lambda _rng, _event: b"[" * 20_000 + b"]" * 20_000,
    "not a number": _with_text("occurred_at", b"NaN"),
    "too large": _with_text("occurred_at", b"1" * 400),
    "nulls": lambda _rng, event: orjson.dumps(dict.fromkeys(event)),
    "half a surrogate pair": lambda _rng, event: orjson.dumps(event)[:-1] + b',"ward_code":"\\ud800"}',
}
