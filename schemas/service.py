"""service.transactions: steps of a citizen's case at a one-stop counter, by post or online. Key: case_id."""

from typing import Literal

from schemas.event import Code, Dong, Event, Identifier, Instant, Order

Channel = Literal["online", "counter", "post"]
Action = Literal[
    "submitted",
    "accepted",
    "supplement_requested",
    "processed",
    "returned",
    "rejected",
    "withdrawn",
    "fee_paid",
]


class ServiceEvent(Event, frozen=True, gc=False, kw_only=True):
    """One step of a case; `submitted_at` is when the case was handed in, `due_at` its deadline."""

    orders = (
        Order(
            "submitted_at", "occurred_at",
            "after occurred_at: a case can't be handed in after a step of it",
        ),
    )  # fmt: skip

    case_id: Identifier
    procedure_code: Code
    office_code: Code
    channel: Channel
    action: Action
    submitted_at: Instant | None = None
    due_at: Instant | None = None
    fee_vnd: Dong | None = None
    payment_method: Code | None = None


_STEP: dict[str, object] = {
    "event_id": "2025-0501-00017/3",
    "occurred_at": 1746064800123,
    "ward_code": "02203",
    "case_id": "2025-0501-00017",
    "procedure_code": "1.001193",
    "office_code": "oso-02203",
    "channel": "counter",
    "action": "returned",
}

VALID_EXAMPLES: tuple[dict[str, object], ...] = (
    _STEP,
    {
        **_STEP,
        "submitted_at": 1745892000000,
        "due_at": "2025-05-06T17:00:00+07:00",
        "fee_vnd": 8000,
        "payment_method": "vietqr",
    },
    {**_STEP, "action": "submitted", "channel": "online", "submitted_at": 1746064800123, "due_at": None},
)
"""Events that are taken."""

INVALID_EXAMPLES: tuple[tuple[str, dict[str, object]], ...] = (
    ("submitted_at", {**_STEP, "submitted_at": 1746064800124}),
    ("submitted_at", {**_STEP, "submitted_at": "2025-05-01T10:00:00+07:00"}),
    ("submitted_at", {**_STEP, "submitted_at": 0}),
    ("due_at", {**_STEP, "due_at": "2025-05-06 17:00"}),
    ("due_at", {**_STEP, "due_at": "2100-01-01T00:00:00Z"}),
    ("channel", {**_STEP, "channel": "fax"}),
    ("action", {**_STEP, "action": "Returned"}),
    ("fee_vnd", {**_STEP, "fee_vnd": -1}),
    ("fee_vnd", {**_STEP, "fee_vnd": 2**53}),
    ("fee_vnd", {**_STEP, "fee_vnd": 8000.0}),
    ("payment_method", {**_STEP, "payment_method": "q" * 65}),
    ("procedure_code", {**_STEP, "procedure_code": None}),
    ("office_code", {k: v for k, v in _STEP.items() if k != "office_code"}),
)
"""Fields at fault, each with an event that is refused for it."""
