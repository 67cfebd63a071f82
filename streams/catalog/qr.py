"""QR payments: counts and amounts that gateways have summed over their own short intervals."""

from schemas.qr import QrReport
from streams.measures import Maximum, Minimum, Sum
from streams.spec import StreamSpec

SPEC = StreamSpec(
    name="qr",
    topic="qr.payments",
    event=QrReport,
    key="merchant_id",
    table="qr_windows",
    view="qr_minute",
    dimensions=("merchant_id", "merchant_category", "ward_code", "provider"),
    measures=(
        Sum("succeeded", of="succeeded"),
        Sum("failed", of="failed"),
        Sum("amount_vnd", of="amount_vnd"),
        Maximum("amount_max_vnd", of="amount_vnd"),
        Minimum("amount_min_vnd", of="amount_vnd"),
    ),
)
