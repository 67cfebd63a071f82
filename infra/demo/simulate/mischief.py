"""What goes wrong on the way in: messages that are no events, one of each kind that must be refused."""

from collections.abc import Callable
from random import Random
from typing import Any

import orjson

_HOUR_MS = 3_600_000

Event = dict[str, Any]


def _with(**fields: Any) -> Callable[[Random, Event], bytes]:
    return lambda _rng, event: orjson.dumps(event | fields)


def _noise(rng: Random, _event: Event) -> bytes:
    # no line feed: garbage must survive a file of lines
    return rng.randbytes(rng.randrange(20, 2000)).replace(b"\n", b"\r") or b"\0"


def _bad_utf8(_rng: Random, event: Event) -> bytes:
    return orjson.dumps(event).replace(b'"ward_code":"', b'"ward_code":"\xc3\x28', 1)


def _without(_rng: Random, event: Event) -> bytes:
    return orjson.dumps({k: v for k, v in event.items() if k != "ward_code"})


def _plate(rng: Random, event: Event) -> bytes:
    # only cameras read plates: elsewhere it is an unknown field, which is ignored
    return orjson.dumps(event | {"plate": "22B1-123.45"}) if "camera_id" in event else _without(rng, event)


GARBAGE: dict[str, Callable[[Random, Event], bytes]] = {
    "half an object": lambda rng, event: orjson.dumps(event)[: rng.randrange(2, 40)],
    "two objects": lambda _rng, event: orjson.dumps(event) * 2,
    "trailing comma": lambda _rng, event: orjson.dumps(event)[:-1] + b",}",
    "noise": _noise,
    "bad UTF-8": _bad_utf8,
    "empty array": lambda _rng, _event: b"[]",
    "scalar": lambda _rng, _event: b"42",
    "wrong type": _with(event_id=12),
    "missing field": _without,
    "naive time": _with(occurred_at="2025-03-01T07:30:00"),
    "out of range": _with(occurred_at=10**15),
    "plate": _plate,
    "clock never set": _with(occurred_at=1000),
    "future time": lambda _rng, event: orjson.dumps(event | {"occurred_at": event["occurred_at"] + _HOUR_MS}),
    "unprintable": _with(event_id="a\u0007b"),
    "too long": _with(event_id="x" * 65),
}
"""By what is wrong: a function from a valid event to bytes without a line feed."""


def garbage(rng: Random, event: Event) -> bytes:
    """One broken version of an event."""
    return rng.choice(list(GARBAGE.values()))(rng, event)
