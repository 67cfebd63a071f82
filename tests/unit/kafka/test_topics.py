"""What `songlo topics` would do, by what is there."""

from pathlib import Path

from infra.kafka.admin import Topic
from infra.kafka.topics import plan, wanted_config
from infra.settings.values import Settings
from streams.registry import load_streams

SETTINGS = Settings(home=Path("/nowhere"))
CAMERA = load_streams()["camera"]


def test_a_missing_topic_is_created_with_all_settings() -> None:
    """LogAppendTime above all: the watermark rests on it."""
    (step,) = plan([CAMERA], {}, SETTINGS)
    assert (step.topic, step.action, step.partitions) == ("camera.events", "create", 6)
    assert step.config["message.timestamp.type"] == "LogAppendTime"
    assert step.config["retention.ms"] == str(7 * 86_400_000)


def test_a_topic_as_it_should_be_is_kept() -> None:
    """The second run has nothing to do."""
    found = {CAMERA.topic: Topic(CAMERA.topic, 6, wanted_config(SETTINGS))}
    (step,) = plan([CAMERA], found, SETTINGS)
    assert (step.action, dict(step.config), step.note) == ("keep", {}, "")


def test_only_settings_that_differ_are_set() -> None:
    """What is right already is not touched."""
    config = wanted_config(SETTINGS) | {"message.timestamp.type": "CreateTime"}
    (step,) = plan([CAMERA], {CAMERA.topic: Topic(CAMERA.topic, 6, config)}, SETTINGS)
    assert (step.action, dict(step.config)) == ("configure", {"message.timestamp.type": "LogAppendTime"})


def test_partitions_of_a_topic_that_exists_stay() -> None:
    """More partitions would send an event's duplicate elsewhere: said, not done."""
    found = {CAMERA.topic: Topic(CAMERA.topic, 3, wanted_config(SETTINGS))}
    (step,) = plan([CAMERA], found, SETTINGS)
    assert (step.action, step.partitions) == ("keep", 3)
    assert "has 3 partitions, SONGLO_PARTITIONS is 6" in step.note


def test_replicated_topics_ask_for_more_than_one_acknowledgement() -> None:
    """With three replicas, two must have a message before it counts as sent."""
    assert wanted_config(Settings(home=Path("/nowhere"), replication=3))["min.insync.replicas"] == "2"
