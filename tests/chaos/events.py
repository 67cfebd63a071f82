"""Events of each topic as traffic has them: few keys, so that rows meet, and numbers of all sizes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

DAY_MS = 86_400_000

Event = dict[str, Any]


def _camera(rng: Random, _at_ms: int) -> Event:
    number = rng.randrange(6)
    event: Event = {
        "ward_code": f"0220{number % 3}",
        "camera_id": f"cam-{number}",
        "kind": "vehicle",
        "count": rng.randrange(1, 9),
    }
    if rng.random() < 0.5:
        event |= {"speed_kmh": round(rng.random() * 90, 1), "object_class": "xe máy"}
    return event


def _service(rng: Random, at_ms: int) -> Event:
    case = rng.randrange(40)
    event: Event = {
        "ward_code": f"0220{case % 3}",
        "case_id": f"case-{case}",
        "procedure_code": f"1.{case % 2}",
        "office_code": f"oso-{case % 3}",
        "channel": rng.choice(("online", "counter")),
        "action": rng.choice(("returned", "returned", "fee_paid")),
    }
    if rng.random() < 0.7:
        submitted = at_ms - rng.randrange(14 * DAY_MS)
        event |= {
            "submitted_at": submitted,
            "due_at": submitted + 7 * DAY_MS,
            "fee_vnd": rng.randrange(2**53),
        }
    return event


def _qr(rng: Random, _at_ms: int) -> Event:
    number = rng.randrange(6)
    return {
        "ward_code": f"0220{number % 3}",
        "merchant_id": f"shop-{number}",
        "merchant_category": "market",
        "provider": rng.choice(("vietqr", "momo")),
        "succeeded": rng.randrange(10),
        "failed": rng.randrange(3),
        "amount_vnd": rng.randrange(2**53),
    }


MAKERS: dict[str, Callable[[Random, int], Event]] = {
    "camera.events": _camera,
    "service.transactions": _service,
    "qr.payments": _qr,
}
KEYS = {"camera.events": "camera_id", "service.transactions": "case_id", "qr.payments": "merchant_id"}


def key_of(topic: str, event: Event) -> bytes:
    """The key that an event's message has, where its producer goes by the book."""
    return str(event[KEYS[topic]]).encode()


def as_text(at_ms: int) -> str:
    """A time as RFC 3339, in Vietnam."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return (at + timedelta(hours=7)).isoformat(timespec="milliseconds").replace("+00:00", "+07:00")
