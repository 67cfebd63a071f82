"""Fill a topic with the events of a load: record batches built whole, far faster than one by one.

Keys go to the partitions where the load's sender puts them; a batch is 16 KiB, the clients' default.
"""

import asyncio
import sys

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.load import Load, camera_id, message, readings

BATCH_BYTES = 16_384
IN_FLIGHT = 64


async def fill(brokers: str, load: Load, compression: str | None) -> None:
    """Create the load's topic, anew where it exists, and send it all."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        settings = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
        if load.topic in await admin.list_topics():
            await admin.delete_topics([load.topic])
            while load.topic in await admin.list_topics():
                await asyncio.sleep(0.2)
        await admin.create_topics([NewTopic(load.topic, load.partitions, 1, topic_configs=settings)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        acks="all",
        max_batch_size=BATCH_BYTES,
        compression_type=compression,
        linger_ms=0,
    )
    await producer.start()
    try:
        await _send(producer, load)
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, load: Load) -> None:
    names: dict[int, tuple[bytes, int]] = {}
    batches = [producer.create_batch() for _ in range(load.partitions)]
    waiting: set[asyncio.Future[object]] = set()

    async def send(partition: int) -> None:
        batch = batches[partition]
        batch.close()
        waiting.add(await producer.send_batch(batch, load.topic, partition=partition))
        batches[partition] = producer.create_batch()
        while len(waiting) >= IN_FLIGHT:
            for sent in (await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))[0]:
                waiting.discard(sent)
                sent.result()

    for number, reading in enumerate(readings(load)):
        camera = reading[0]
        known = names.get(camera)
        if known is None:
            key = camera_id(camera).encode()
            known = names[camera] = key, load.partition_of(key)
        key, partition = known
        value = message(number, reading)
        if batches[partition].append(key=key, value=value, timestamp=None) is None:
            await send(partition)
            batches[partition].append(key=key, value=value, timestamp=None)
    for partition, batch in enumerate(batches):
        if batch.record_count():
            await send(partition)
    await asyncio.gather(*waiting)


if __name__ == "__main__":
    brokers, events, keys, partitions, per_second, seed, partitioner, compression = sys.argv[1:]
    load = Load(int(events), int(keys), int(partitions), int(per_second), int(seed), partitioner)
    asyncio.run(fill(brokers, load, None if compression == "none" else compression))
