"""Events and record batches for tests, with times in seconds after a round minute of 2024."""

from collections.abc import Iterable, Sequence

import orjson

from streams.core.records import pack
from streams.core.values import PackedBatches, RecordBatch

# 2024-05-13T08:00:00Z, a round hour
T0_MS = 1_715_587_200_000


def camera_event(event_id: str, at_s: float, **fields: object) -> dict[str, object]:
    """A valid camera event, `at_s` seconds after T0."""
    return {
        "event_id": event_id,
        "occurred_at": T0_MS + round(at_s * 1000),
        "ward_code": "02200",
        "camera_id": "cam-1",
        "kind": "vehicle",
        "count": 1,
        **fields,
    }


def message(*events: dict[str, object]) -> bytes:
    """One Kafka message: an event, or a bundle of several."""
    return orjson.dumps(events[0] if len(events) == 1 else list(events))


def packed(
    base_offset: int,
    next_offset: int,
    append_ms: int,
    values: Sequence[bytes | None],
    offsets: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
) -> PackedBatches:
    """A record batch as it stands in a log, from what `RecordBatch` takes."""
    return pack(RecordBatch(base_offset, next_offset, append_ms, values, offsets, keys))


def batch(base_offset: int, append_s: float, values: Sequence[bytes | None]) -> RecordBatch:
    """A record batch without gaps, appended `append_s` seconds after T0."""
    return RecordBatch(base_offset, base_offset + len(values), T0_MS + round(append_s * 1000), values)


def batches(log: Iterable[tuple[float, bytes | None]], sizes: Iterable[int] = ()) -> list[RecordBatch]:
    """A log of (append_s, value) cut into record batches.

    Messages of one batch share the append time of its first, so the sizes change what the log says
    unless neighbours share theirs; without sizes each message is a batch of its own.
    """
    rows, cut = list(log), iter(sizes)
    result: list[RecordBatch] = []
    at = 0
    while at < len(rows):
        part = rows[at : at + next(cut, 1)]
        result.append(batch(at, part[0][0], [value for _, value in part]))
        at += len(part)
    return result
