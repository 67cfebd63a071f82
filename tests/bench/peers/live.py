"""Send events at a steady rate, as live cameras would, with a probe event of its own camera now and then.

All batches are built before the first is sent. A line on stdin starts; the send time of each
probe goes to stdout as `probe CAMERA SECONDS`, and `sent EVENTS SECONDS` at the end.
"""

import asyncio
import sys
import time

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.core.home import partition_of
from tests.bench.load import T0_MS, Load, camera_id, message, readings

SLOT_SECONDS = 0.02
PROBE_EVERY = 5


async def main(brokers: str, topic: str, partitions: int, rate: int, seconds: int) -> None:
    """Build, wait for the word, send."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    await admin.create_topics(
        [NewTopic(topic, partitions, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})]
    )
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks=1, max_batch_size=1 << 20)
    await producer.start()
    slots = _slots(producer, Load(rate * seconds, partitions=partitions, per_second=rate))
    print("ready", flush=True)
    sys.stdin.readline()
    began, sent = time.monotonic(), []
    for number, batches in enumerate(slots):
        await asyncio.sleep(max(0.0, began + number * SLOT_SECONDS - time.monotonic()))
        if number % PROBE_EVERY == 0:
            sent.append(await _probe(producer, topic, partitions, number))
        for partition, batch in batches:
            sent.append(await producer.send_batch(batch, topic, partition=partition))  # awaited
    await asyncio.gather(*sent)
    print(f"sent {rate * seconds} {time.monotonic() - began}", flush=True)
    await producer.stop()


async def _probe(
    producer: AIOKafkaProducer, topic: str, partitions: int, number: int
) -> "asyncio.Future[object]":
    name = f"probe-{number:06d}"
    at_ms = T0_MS + round(number * SLOT_SECONDS * 1000)
    value = (
        f'{{"event_id":"{name}","occurred_at":{at_ms},"ward_code":"02203","camera_id":"{name}",'
        '"kind":"heartbeat"}'
    )
    batch = producer.create_batch()
    batch.append(key=name.encode(), value=value.encode(), timestamp=None)
    batch.close()
    print(f"probe {name} {time.time()}", flush=True)
    partition = number // PROBE_EVERY % partitions
    return await producer.send_batch(batch, topic, partition=partition)


def _slots(producer: AIOKafkaProducer, load: Load) -> list[list[tuple[int, object]]]:
    """For each slot its closed batches by partition."""
    per_slot = max(1, round(load.per_second * SLOT_SECONDS))
    where: dict[int, int] = {}
    slots: list[list[tuple[int, object]]] = []
    open_batches: dict[int, object] = {}
    for number, reading in enumerate(readings(load)):
        camera = reading[0]
        key = camera_id(camera).encode()
        partition = where.get(camera)
        if partition is None:
            partition = where[camera] = partition_of(key, load.partitions)
        batch = open_batches.get(partition)
        if batch is None:
            batch = open_batches[partition] = producer.create_batch()
        batch.append(key=key, value=message(number, reading), timestamp=None)
        if number % per_slot == per_slot - 1:
            for full in open_batches.values():
                full.close()
            slots.append(sorted(open_batches.items()))
            open_batches = {}
    return slots


if __name__ == "__main__":
    brokers, topic, partitions, rate, seconds = sys.argv[1:]
    asyncio.run(main(brokers, topic, int(partitions), int(rate), int(seconds)))
