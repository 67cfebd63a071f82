"""What the totals must be: one pass over the messages, sharing nothing with the fold but field names."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

# (window start in seconds, camera_id) -> [events, sum of count]
Totals = dict[tuple[int, str], tuple[int, int]]


def events_of(value: bytes | None) -> list[dict[str, Any]]:
    """The events of a message that the test itself has made; nothing for what it has made as garbage."""
    try:
        decoded = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return []
    return decoded if isinstance(decoded, list) else [decoded]


def totals(log: Iterable[bytes | None]) -> Totals:
    """Events and objects of every window, over the distinct events."""
    events, objects, seen = Counter[tuple[int, str]](), Counter[tuple[int, str]](), set[str]()
    for value in log:
        for event in events_of(value):
            if event["event_id"] not in seen:
                seen.add(event["event_id"])
                key = (event["occurred_at"] // 60_000 * 60, event["camera_id"])
                events[key] += 1
                objects[key] += event["count"]
    return {key: (events[key], objects[key]) for key in events}
