"""Topics and offsets of a Kafka: asked, created and changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from kafka import IsolationLevel, KafkaAdminClient, OffsetSpec, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from infra.kafka.access import REACH_MS, KafkaFailureError, connection, failures, knock
from streams.kafka_access import KafkaAccess
from streams.worker.client.identity import id_text


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is: its number of partitions and the settings that differ from the broker's own.

    `id` is Kafka's own; empty where it has none.
    """

    name: str
    partitions: int
    config: Mapping[str, str]
    id: str = ""


class Admin:
    """Topics and offsets; a context manager. All methods raise KafkaFailureError."""

    def __init__(self, access: KafkaAccess) -> None:
        self._access = access
        knock(access)
        with failures(access):
            self._kafka = KafkaAdminClient(**connection(replace(access, request_ms=REACH_MS)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave Kafka."""
        self._kafka.close()

    def topics(self, names: Collection[str]) -> dict[str, Topic]:
        """Those of the named topics that exist."""
        with failures(self._access):
            present = set(self._kafka.list_topics())
            wanted = [n for n in names if n in present]
            if not wanted:
                return {}
            described = self._kafka.describe_topics(wanted)
            configs = self._kafka.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, n) for n in wanted]
            )
        return {
            t["name"]: Topic(t["name"], len(t["partitions"]), _values(configs, t["name"]), id_text(t))
            for t in described
        }

    def create(self, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Create a topic, and wait until it can be used."""
        options = {"num_partitions": partitions, "replication_factor": replication, "configs": dict(config)}
        with failures(self._access):
            self._kafka.create_topics({name: options}, wait_for_metadata=True)

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set settings of a topic; those not named stay."""
        with failures(self._access):
            self._kafka.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(config))])

    def members(self, group: str) -> list[str]:
        """Who is in a consumer group, each by the name and host of its client; nobody in an unknown one."""
        with failures(self._access):
            described = self._kafka.describe_groups([group])[group]
        # a group that nobody has joined is an error to newer brokers
        if described["error"] and "GroupIdNotFound" not in described["error"]:
            raise KafkaFailureError(f"Kafka at {self._access}, group {group}: {described['error']}")
        return [f"{m['client_id']} at {m['client_host'].lstrip('/')}" for m in described["members"]]

    def ends(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        """The offset after the last committed message, by topic and partition."""
        return self._offsets(topics, OffsetSpec.LATEST)

    def starts(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        """By topic and partition the first offset that Kafka still has."""
        return self._offsets(topics, OffsetSpec.EARLIEST)

    def _offsets(self, topics: Collection[str], which: Any) -> dict[tuple[str, int], int]:
        found = self.topics(topics)
        wanted = {TopicPartition(t.name, p): which for t in found.values() for p in range(t.partitions)}
        if not wanted:
            return {}
        with failures(self._access):
            offsets = self._kafka.list_partition_offsets(wanted, IsolationLevel.READ_COMMITTED)
        return {(tp.topic, tp.partition): o.offset for tp, o in offsets.items()}


def _values(configs: Any, name: str) -> dict[str, str]:
    """The settings of one topic in an answer to describe_configs."""
    found = configs.get("topic", configs.get("TOPIC", {})).get(name, {})
    return {k: str(v["value"] if isinstance(v, dict) else v) for k, v in found.items()}
