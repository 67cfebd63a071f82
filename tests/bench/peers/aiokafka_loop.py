"""(g) The bare client: aiokafka's getmany, each message decoded and checked by the schema, nothing else."""

import asyncio

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from peer import arguments, done, ready, write

from schemas.camera import CameraEvent


async def main() -> None:
    """Read and decode the whole topic."""
    given = arguments()
    decode = msgspec.json.Decoder(CameraEvent).decode
    consumer = AIOKafkaConsumer(
        bootstrap_servers=given.brokers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    consumer.assign([TopicPartition(given.topic, p) for p in range(given.partitions)])
    left = given.events
    ready()
    while left > 0:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            for record in records:
                decode(record.value)
            left -= len(records)
    done()
    await consumer.stop()
    write(given.out, [])


asyncio.run(main())
