"""qr.payments: counts and amounts that a gateway has summed over its own interval. Key: merchant_id."""

from typing import Literal

from schemas.event import Code, Count, Dong, Event, Identifier

Category = Literal["school", "hospital", "supermarket", "convenience_store", "market", "government", "other"]


class QrReport(Event, frozen=True, gc=False, kw_only=True):
    """QR payments of one merchant since the gateway's last report; `amount_vnd` is what succeeded."""

    merchant_id: Identifier
    merchant_category: Category
    provider: Code
    succeeded: Count
    failed: Count
    amount_vnd: Dong


_REPORT: dict[str, object] = {
    "event_id": "gw-07/mer-02203-market-01/1746064800",
    "occurred_at": 1746064800000,
    "ward_code": "02203",
    "merchant_id": "mer-02203-market-01",
    "merchant_category": "market",
    "provider": "vietqr",
    "succeeded": 14,
    "failed": 1,
    "amount_vnd": 1_865_000,
}

VALID_EXAMPLES: tuple[dict[str, object], ...] = (
    _REPORT,
    {**_REPORT, "occurred_at": "2025-05-01T02:00:00Z", "succeeded": 0, "failed": 0, "amount_vnd": 0},
    {**_REPORT, "succeeded": 10**12, "amount_vnd": 2**53 - 1},
)
"""Events that are taken."""

INVALID_EXAMPLES: tuple[tuple[str, dict[str, object]], ...] = (
    ("merchant_category", {**_REPORT, "merchant_category": "casino"}),
    ("succeeded", {**_REPORT, "succeeded": -1}),
    ("succeeded", {**_REPORT, "succeeded": 10**12 + 1}),
    ("failed", {**_REPORT, "failed": "1"}),
    ("failed", {**_REPORT, "failed": True}),
    ("amount_vnd", {**_REPORT, "amount_vnd": 2**53}),
    ("amount_vnd", {k: v for k, v in _REPORT.items() if k != "amount_vnd"}),
    ("provider", {**_REPORT, "provider": "viet\nqr"}),
    ("merchant_id", {**_REPORT, "merchant_id": "m" * 65}),
)
"""Fields at fault, each with an event that is refused for it."""
