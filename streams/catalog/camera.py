"""Camera events: what passes each junction, how fast, and what is wrong."""

from schemas.camera import CameraEvent
from streams.measures import Distribution, Sum, Thousandths
from streams.spec import StreamSpec

SPEC = StreamSpec(
    name="camera",
    topic="camera.events",
    event=CameraEvent,
    key="camera_id",
    table="camera_windows",
    view="camera_minute",
    dimensions=("camera_id", "ward_code", "kind", "object_class", "violation_code", "direction"),
    measures=(
        Sum("objects", of="count"),
        Distribution("speed", of=Thousandths("speed_kmh")),
    ),
)
