"""(d) Bytewax: a tumbling window per camera on an event clock, one worker, without recovery (its fastest)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from bytewax import operators as op
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing as win
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from peer import MINUTE_MS, arguments, done, ready, write

given = arguments()
first = True
closed: list[tuple[str, int, int, float, float]] = []
START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
Window = tuple[int, float, float]


class Reading(msgspec.Struct, gc=False):
    """The fields that are needed; the decoder skips the others."""

    camera_id: str
    occurred_at: int
    speed_kmh: float


decoder = msgspec.json.Decoder(Reading)


def decode(message: Any) -> tuple[str, Reading]:
    """The event with its key."""
    global first  # noqa: PLW0603  # one stand-alone script
    if first:
        first = False
        ready()
    event = decoder.decode(message.value)
    return event.camera_id, event


def at(event: Reading) -> datetime:
    """The time of an event."""
    return datetime.fromtimestamp(event.occurred_at / 1000, UTC)


def fold(window: Window, event: Reading) -> Window:
    """Count, sum and maximum."""
    events, total, top = window
    speed = event.speed_kmh
    return events + 1, total + speed, max(speed, top)


def merge(a: Window, b: Window) -> Window:
    """Never asked for by tumbling windows."""
    return a[0] + b[0], a[1] + b[1], max(a[2], b[2])


class Collected(StatelessSinkPartition[tuple[str, tuple[int, Window]]]):
    """Windows that have closed."""

    def write_batch(self, items: list[tuple[str, tuple[int, Window]]]) -> None:
        """Keep them for the check."""
        closed.extend((key, START_MS + n * MINUTE_MS, *window) for key, (n, window) in items)


class Collect(DynamicSink[tuple[str, tuple[int, Window]]]):
    """A sink in memory."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Collected:
        """The only one."""
        return Collected()


flow = Dataflow("bench")
source = kop.input(
    "in",
    flow,
    brokers=[given.brokers],
    topics=[given.topic],
    tail=False,
    batch_size=5000,
    add_config={"fetch.min.bytes": "100000", "queued.min.messages": "200000"},
)
events = op.map("decode", source.oks, decode)
windows = win.fold_window(
    "fold",
    events,
    win.EventClock(at, wait_for_system_duration=timedelta(minutes=2)),
    win.TumblingWindower(length=timedelta(minutes=1), align_to=START),
    lambda: (0, 0.0, 0.0),
    fold,
    merge,
    ordered=False,
)
op.output("out", windows.down, Collect())
run_main(flow)
done()
write(given.out, closed)
