"""(b) Faust's own windowed table: a tumbling window per camera, in memory, with its changelog in Kafka."""

import asyncio
import os
import sys
from pathlib import Path

import faust
import orjson
import uvloop
from faust.serializers import codecs
from peer import arguments, done, ready, write

given = arguments()


class Json(codecs.Codec):
    """orjson in place of Faust's default."""

    def _dumps(self, obj: object) -> bytes:
        return orjson.dumps(obj)

    def _loads(self, s: bytes) -> object:
        return orjson.loads(s)


asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
codecs.register("orjson", Json())
app = faust.App(
    f"bench-{given.run}",
    broker=f"aiokafka://{given.brokers}",
    store="memory://",
    datadir=str(given.work),
    topic_partitions=given.partitions,
    topic_replication_factor=1,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    stream_wait_empty=False,
    stream_buffer_maxsize=16_384,
    broker_max_poll_records=5000,
    producer_linger=0.05,
    producer_max_batch_size=262_144,
    web_enabled=False,
)
topic = app.topic(given.topic, key_type=bytes, value_serializer="orjson")
table = app.Table("speed", default=lambda: (0, 0.0, 0.0), partitions=given.partitions).tumbling(60.0)
table = table.relative_to(lambda event: event.value["occurred_at"] / 1000)


@app.agent(topic)
async def fold(stream: faust.StreamT) -> None:
    """Count, sum and maximum of the speed."""
    left = given.events
    async for event in stream:
        if left == given.events:
            ready()
        speed, window = event["speed_kmh"], table[event["camera_id"]]
        events, total, top = window.value()
        table[event["camera_id"]] = (events + 1, total + speed, max(top, speed))
        left -= 1
        if not left:
            finish()


def finish() -> None:
    """Hand the table over, and leave at once."""
    done()
    held = table.table.items()
    write(given.out, ((key, int(start) * 1000, *value) for (key, (start, _)), value in held))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    Path(given.work).mkdir(parents=True, exist_ok=True)
    worker = faust.Worker(app, loglevel="warning", quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()
