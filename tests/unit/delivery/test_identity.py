"""A topic that was created again is another one, whatever its name; Kafka that is silent accuses nobody."""

import asyncio
from collections.abc import Collection

import pytest

from streams.config import WorkerConfig
from streams.delivery.errors import LogRecreated
from streams.delivery.identity import Identities


class Told(Identities):
    """Knows what it is told, not what Kafka says."""

    def __init__(self) -> None:
        super().__init__(WorkerConfig(brokers=("nowhere:1",)))
        self.ids: dict[str, bytes] = {}

    async def _found(self, topics: Collection[str]) -> dict[str, bytes]:
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}


def check(identities: Identities, *topics: str) -> None:
    """One look."""
    asyncio.run(identities.check(topics))


def test_another_topic_of_the_same_name_is_told() -> None:
    """By its name, and with what to do."""
    identities = Told()
    identities.ids = {"qr": b"one", "camera": b"two"}
    check(identities, "qr", "camera")
    check(identities, "qr")
    identities.ids["qr"] = b"three"
    check(identities, "camera")
    with pytest.raises(LogRecreated, match=r"^qr: .*SONGLO_EPOCH"):
        check(identities, "camera", "qr")


def test_a_topic_of_which_nothing_is_held_may_change() -> None:
    """Its partitions are compared with the log when they are taken on again."""
    identities = Told()
    identities.ids = {"qr": b"one"}
    check(identities, "qr")
    identities.keep(())
    identities.ids = {"qr": b"two"}
    check(identities, "qr")


def test_silence_is_no_change() -> None:
    """Kafka that is away, or too old to know, is asked again the next time."""
    identities = Told()
    identities.ids = {"qr": b"one"}
    check(identities, "qr")
    identities.ids = {}
    check(identities, "qr")
    identities.ids = {"qr": b"two"}
    with pytest.raises(LogRecreated):
        check(identities, "qr")


def test_kafka_that_is_away_is_no_error() -> None:
    """The flush goes on: nothing new can have been read either."""
    check(Identities(WorkerConfig(brokers=("127.0.0.1:1",))), "qr")
