"""Whether Kafka has the topics as the fold needs them; asked once, before the worker joins its group."""

import asyncio
import logging
from collections.abc import Collection

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from streams.worker.config import WorkerConfig
from streams.worker.errors import TopicMissing

log = logging.getLogger(__name__)
PAUSE_S = 2.0


async def wait_for_topics(config: WorkerConfig, topics: Collection[str]) -> None:
    """Return when the broker answers and has the topics.

    Raises TopicMissing when it has not: subscribing would make some brokers create them with settings of
    their own.
    """
    while True:
        try:
            known, unstamped = await _ask(config, topics)
        except (KafkaError, OSError) as error:
            log.warning("no broker answers at %s (%s); trying again", config.kafka, error)
            await asyncio.sleep(PAUSE_S)
            continue
        missing = sorted(set(topics) - known)
        if missing:
            names = ", ".join(missing)
            raise TopicMissing(f"Kafka at {config.kafka} has no topic {names}: run `songlo topics`")
        for topic in unstamped:
            log.warning(
                "topic %s keeps its producers' times (message.timestamp.type=CreateTime), so one fast "
                "clock can make all events late there; `songlo topics` sets LogAppendTime", topic,
            )  # fmt: skip
        return


async def _ask(config: WorkerConfig, topics: Collection[str]) -> tuple[set[str], list[str]]:
    admin = AIOKafkaAdminClient(**config.kafka.options())
    try:
        await admin.start()
        known = set(await admin.list_topics())
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(known & set(topics))]
        answers = await admin.describe_configs(wanted) if wanted else []
    finally:
        await admin.close()
    unstamped = [
        name
        for answer in answers
        for _, _, _, name, entries in answer.resources
        for entry in entries
        if entry[0] == "message.timestamp.type" and entry[1] != "LogAppendTime"
    ]
    return known, unstamped
