"""How the events of each topic add up; written down here a second time, not taken from the streams."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.camera import CameraEvent
from schemas.event import Event
from schemas.qr import QrReport
from schemas.service import ServiceEvent


@dataclass(slots=True)
class Sums:
    """What a total must be; `values` of distributions are in thousandths, each with how often it occurred.

    `extremes` are the greatest or least values, by name; one that has no value is not there.
    """

    events: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    values: dict[str, Counter[int]] = field(default_factory=dict)
    extremes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one topic; `key` is the field that says where its events belong."""

    event: type[Event]
    key: str
    table: str
    dimensions: tuple[str, ...]
    add: Callable[[Any, Sums], None]
    sums: tuple[str, ...]
    distributions: tuple[str, ...] = ()
    extremes: tuple[str, ...] = ()


def _measure(sums: Sums, name: str, value: int) -> None:
    sums.values.setdefault(name, Counter())[value] += 1


def widen(sums: Sums, name: str, value: int) -> None:
    """Let an extreme be at least this value, or at most, as its name has it."""
    further = min if "_min_" in name else max
    sums.extremes[name] = further(sums.extremes.get(name, value), value)


def _add_camera(event: CameraEvent, to: Sums) -> None:
    to.sums["objects"] += event.count
    if event.speed_kmh is not None:
        _measure(to, "speed", round(event.speed_kmh * 1000))


def _add_service(event: ServiceEvent, to: Sums) -> None:
    to.sums["fee_vnd"] += event.fee_vnd or 0
    if event.fee_vnd is not None:
        widen(to, "fee_max_vnd", event.fee_vnd)
    if event.action != "returned":
        return
    if event.due_at is not None:
        to.sums["on_time" if event.occurred_at <= event.due_at else "overdue"] += 1
    if event.submitted_at is not None:
        _measure(to, "duration", event.occurred_at - event.submitted_at)


def _add_qr(event: QrReport, to: Sums) -> None:
    to.sums["succeeded"] += event.succeeded
    to.sums["failed"] += event.failed
    to.sums["amount_vnd"] += event.amount_vnd
    widen(to, "amount_max_vnd", event.amount_vnd)
    widen(to, "amount_min_vnd", event.amount_vnd)


READINGS = {
    "camera.events": Reading(
        CameraEvent,
        "camera_id",
        "camera_windows",
        ("camera_id", "ward_code", "kind", "object_class", "violation_code", "direction"),
        _add_camera,
        ("objects",),
        ("speed",),
    ),
    "service.transactions": Reading(
        ServiceEvent,
        "case_id",
        "service_windows",
        ("office_code", "ward_code", "procedure_code", "channel", "action"),
        _add_service,
        ("fee_vnd", "on_time", "overdue"),
        ("duration",),
        ("fee_max_vnd",),
    ),
    "qr.payments": Reading(
        QrReport,
        "merchant_id",
        "qr_windows",
        ("merchant_id", "merchant_category", "ward_code", "provider"),
        _add_qr,
        ("succeeded", "failed", "amount_vnd"),
        extremes=("amount_max_vnd", "amount_min_vnd"),
    ),
}
