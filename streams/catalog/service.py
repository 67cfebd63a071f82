"""Service transactions: what each one-stop office does, and whether it keeps its deadlines."""

from schemas.service import ServiceEvent
from streams.measures import After, Count, Distribution, Elapsed, Is, Maximum, NotAfter, Sum
from streams.spec import StreamSpec

RETURNED = Is("action", "returned")

SPEC = StreamSpec(
    name="service",
    topic="service.transactions",
    event=ServiceEvent,
    key="case_id",
    table="service_windows",
    view="service_minute",
    dimensions=("office_code", "ward_code", "procedure_code", "channel", "action"),
    measures=(
        Sum("fee_vnd", of="fee_vnd"),
        Maximum("fee_max_vnd", of="fee_vnd"),
        Count("on_time", when=(RETURNED, NotAfter("occurred_at", "due_at"))),
        Count("overdue", when=(RETURNED, After("occurred_at", "due_at"))),
        Distribution("duration", of=Elapsed("submitted_at", "occurred_at"), when=(RETURNED,)),
    ),
)
