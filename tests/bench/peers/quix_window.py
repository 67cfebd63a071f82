"""(c) Quix Streams: tumbling windows that emit when they close; state in RocksDB, changelog in Kafka."""

from datetime import timedelta
from typing import Any

from peer import arguments, done, ready, write
from quixstreams import Application
from quixstreams.dataframe.windows import Count, Max, Sum

given = arguments()
seen = 0
closed: list[tuple[str, int, int, float, float]] = []


def event_time(value: dict[str, Any], *_: object) -> int:
    """The time of an event; also where the first one and the last one are noticed."""
    global seen  # noqa: PLW0603  # one stand-alone script
    if not seen:
        ready()
    seen += 1
    if seen == given.events:
        app.stop()
    return int(value["occurred_at"])


def collect(window: dict[str, Any], key: bytes, *_: object) -> None:
    """A window that has closed."""
    closed.append((key.decode(), window["start"], window["events"], window["total"], window["top"]))


app = Application(
    broker_address=given.brokers,
    consumer_group=given.run,
    auto_offset_reset="earliest",
    auto_create_topics=True,
    state_dir=given.work / "state",
    loglevel="WARNING",
    commit_interval=5.0,
    consumer_extra_config={"fetch.min.bytes": 100_000, "queued.min.messages": 200_000},
)
topic = app.topic(
    given.topic, value_deserializer="json", key_deserializer="bytes", timestamp_extractor=event_time
)
frame = app.dataframe(topic)
windows = frame.tumbling_window(timedelta(minutes=1), grace_ms=timedelta(minutes=2)).agg(
    events=Count(), total=Sum("speed_kmh"), top=Max("speed_kmh")
)
windows.final(closing_strategy="partition").update(collect, metadata=True)
app.run(collect=False)
done()
write(given.out, closed)
