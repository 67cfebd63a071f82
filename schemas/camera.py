"""camera.events: what a camera counted, measured or noticed. Key: camera_id."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.event import Code, Event, Identifier, RawPlate

Kind = Literal["vehicle", "person", "violation", "incident", "heartbeat"]


class CameraEvent(Event, frozen=True, gc=False, kw_only=True):
    """Something seen by a camera; `count` objects of a kind, or one violation, incident or sign of life."""

    camera_id: Identifier
    kind: Kind
    object_class: Code | None = None
    violation_code: Code | None = None
    count: Annotated[int, Meta(ge=1, le=10**9)] = 1
    speed_kmh: Annotated[float, Meta(ge=0, le=1000)] | None = None
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    direction: Code | None = None
    plate_hash: Identifier | None = None
    plate: RawPlate | UnsetType = UNSET


_SEEN: dict[str, object] = {
    "event_id": "cam-02203-014/1746064800123",
    "occurred_at": 1746064800123,
    "ward_code": "02203",
    "camera_id": "cam-02203-014",
    "kind": "vehicle",
}

VALID_EXAMPLES: tuple[dict[str, object], ...] = (
    _SEEN,
    {
        **_SEEN,
        "object_class": "xe máy",
        "count": 3,
        "speed_kmh": 31.5,
        "confidence": 0.94,
        "direction": "north",
        "plate_hash": "b3:9f2c61d07a55",
    },
    {
        **_SEEN,
        "occurred_at": "2025-05-01T09:00:00.123+07:00",
        "kind": "violation",
        "violation_code": "red_light",
        "speed_kmh": None,
        "lane": 2,
    },
)
"""Events that are taken."""

INVALID_EXAMPLES: tuple[tuple[str, dict[str, object]], ...] = (
    ("plate", {**_SEEN, "plate": "22A-123.45"}),
    ("plate", {**_SEEN, "plate": None}),
    ("kind", {**_SEEN, "kind": "tractor"}),
    ("count", {**_SEEN, "count": 0}),
    ("count", {**_SEEN, "count": 10**9 + 1}),
    ("count", {**_SEEN, "count": 1.5}),
    ("count", {**_SEEN, "count": None}),
    ("speed_kmh", {**_SEEN, "speed_kmh": -1}),
    ("speed_kmh", {**_SEEN, "speed_kmh": 1000.1}),
    ("speed_kmh", {**_SEEN, "speed_kmh": "fast"}),
    ("confidence", {**_SEEN, "confidence": 1.01}),
    ("direction", {**_SEEN, "direction": ""}),
    ("object_class", {**_SEEN, "object_class": "xe\u00a0máy"}),
    ("camera_id", {k: v for k, v in _SEEN.items() if k != "camera_id"}),
    ("camera_id", {**_SEEN, "camera_id": 14}),
)
"""Fields at fault, each with an event that is refused for it."""
