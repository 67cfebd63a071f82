"""(h) The bare C client: confluent-kafka's consume, each message decoded and checked, nothing else."""

from typing import Annotated, Literal

import msgspec
from confluent_kafka import Consumer, TopicPartition
from peer import arguments, done, ready, write

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class CameraEvent(msgspec.Struct, frozen=True, gc=False):
    """The event as Songlo's schema has it, so that the same fields are decoded and checked."""

    event_id: Text
    occurred_at: Annotated[int, msgspec.Meta(ge=946_684_800_000, lt=4_102_444_800_000)]
    ward_code: Text
    camera_id: Text
    kind: Literal["vehicle", "person", "violation", "incident", "heartbeat"]
    object_class: Text | None = None
    violation_code: Text | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 1
    speed_kmh: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    direction: Text | None = None
    plate_hash: Text | None = None


def main() -> None:
    """Read and decode the whole topic."""
    given = arguments()
    decode = msgspec.json.Decoder(CameraEvent).decode
    consumer = Consumer(
        {
            "bootstrap.servers": given.brokers,
            "group.id": given.run,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.min.bytes": 100_000,
            "queued.min.messages": 200_000,
        }
    )
    consumer.assign([TopicPartition(given.topic, p, 0) for p in range(given.partitions)])
    left = given.events
    ready()
    while left > 0:
        messages = consumer.consume(5000, timeout=1.0)
        for message in messages:
            if message.error():
                raise RuntimeError(message.error())
            decode(message.value())
        left -= len(messages)
    done()
    consumer.close()
    write(given.out, [])


main()
