"""The topics that the streams need, and how to get from what is there to what is needed.

A plan first, as values, then `apply`: so that what would be done can be shown and tested without Kafka.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from infra.kafka.access import MAX_MESSAGE_BYTES
from infra.kafka.admin import Admin, Topic
from infra.settings.values import Settings
from streams.spec import StreamSpec

_HOUR_MS = 3_600_000

Action = Literal["create", "configure", "keep"]


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one topic. `config` is what is to be set; `note` says what is wrong and stays so."""

    topic: str
    action: Action
    partitions: int
    config: Mapping[str, str]
    note: str = ""


def wanted_config(settings: Settings) -> dict[str, str]:
    """The settings of a topic that Songlo relies on."""
    config = {
        # the watermark and the future-time check rest on the broker's clock, not on producers'
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "retention.ms": str(settings.retention_hours * _HOUR_MS),
        "cleanup.policy": "delete",
    }
    if settings.replication >= 3:
        config["min.insync.replicas"] = str(settings.replication - 1)
    return config


def plan(specs: Iterable[StreamSpec], found: Mapping[str, Topic], settings: Settings) -> list[Step]:
    """What to do for each stream's topic. Partitions of a topic that exists are never changed."""
    steps = []
    for spec in specs:
        config = wanted_config(settings)
        topic = found.get(spec.topic)
        if topic is None:
            steps.append(Step(spec.topic, "create", settings.partitions, config))
            continue
        differing = {k: v for k, v in config.items() if topic.config.get(k, _DEFAULTS.get(k)) != v}
        action: Action = "configure" if differing else "keep"
        steps.append(
            Step(spec.topic, action, topic.partitions, differing, _partition_note(topic, settings.partitions))
        )
    return steps


def apply(admin: Admin, steps: Iterable[Step], replication: int) -> None:
    """Carry out a plan; raises KafkaFailureError."""
    for step in steps:
        if step.action == "create":
            admin.create(step.topic, step.partitions, replication, step.config)
        elif step.action == "configure":
            admin.configure(step.topic, step.config)


# what Kafka has when a topic says nothing
_DEFAULTS = {"message.timestamp.type": "CreateTime", "cleanup.policy": "delete", "min.insync.replicas": "1"}


def _partition_note(topic: Topic, wanted: int) -> str:
    if topic.partitions == wanted:
        return ""
    return (
        f"has {topic.partitions} partitions, SONGLO_PARTITIONS is {wanted}: left as it is. Partitions that "
        "are added with Kafka's own tools are read at once, but are no home: what they hold is sent to the "
        "former ones until all workers are stopped and `songlo topics --rehome` is run"
    )
