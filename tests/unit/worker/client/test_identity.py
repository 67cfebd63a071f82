"""A topic that was created again is another one, whatever its name; Kafka that is silent accuses nobody."""

import asyncio
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from streams.kafka_access import KafkaAccess
from streams.worker.client.identity import PATIENCE_S, Identities
from streams.worker.config import WorkerConfig
from streams.worker.errors import LogRecreated, LogUnknown
from streams.worker.values import KafkaTopic

ROOT = Path(__file__).resolve().parents[4]


class Told(Identities):
    """Knows what it is told, not what Kafka says."""

    def __init__(self) -> None:
        super().__init__(WorkerConfig(kafka=KafkaAccess.at("nowhere:1")))
        self.ids: dict[str, str] = {}

    async def _found(self, topics: Collection[str]) -> dict[str, KafkaTopic]:
        if not self.ids:
            raise LogUnknown("silent")
        return {topic: KafkaTopic(self.ids[topic], 3) for topic in topics if topic in self.ids}


def check(identities: Identities, *topics: str) -> None:
    """One look."""
    asyncio.run(identities.check(topics))


def test_another_topic_of_the_same_name_is_told() -> None:
    """By its name, and with what to do."""
    identities = Told()
    identities.ids = {"qr": "one", "camera": "two"}
    check(identities, "qr", "camera")
    check(identities, "qr")
    identities.ids["qr"] = "three"
    check(identities, "camera")
    with pytest.raises(LogRecreated, match=r"^qr: .*SONGLO_EPOCH"):
        check(identities, "camera", "qr")


def test_a_topic_of_which_nothing_is_held_may_change() -> None:
    """Its partitions are compared with the log when they are taken on again."""
    identities = Told()
    identities.ids = {"qr": "one"}
    check(identities, "qr")
    identities.keep(())
    identities.ids = {"qr": "two"}
    check(identities, "qr")


def test_silence_is_no_change() -> None:
    """Kafka that is away, or too old to know, is asked again the next time."""
    identities = Told()
    identities.ids = {"qr": "one"}
    check(identities, "qr")
    identities.ids = {}
    check(identities, "qr")
    identities.ids = {"qr": "two"}
    with pytest.raises(LogRecreated):
        check(identities, "qr")


def test_kafka_that_is_away_is_no_error() -> None:
    """The flush goes on: nothing new can have been read either."""
    check(Identities(WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1"))), "qr")


def test_what_is_taken_on_has_to_be_known() -> None:
    """A worker that takes partitions on asks until Kafka answers."""
    with pytest.raises(LogUnknown, match="ids of its topics"):
        asyncio.run(Identities(WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1"))).remember({"qr"}))


MUTE = """
import asyncio, socket, sys, threading, time
from streams.kafka_access import KafkaAccess
from streams.worker.client.identity import Identities
from streams.worker.config import WorkerConfig

async def asked(identities):
    for _ in range(3):
        await identities.check({"qr"})
    print(time.monotonic() - began, sum(t.name == "identity" for t in threading.enumerate()))
    await identities.close()

with socket.create_server(("127.0.0.1", 0)) as mute:
    began = time.monotonic()
    asyncio.run(asked(Identities(WorkerConfig(kafka=KafkaAccess.at(f"127.0.0.1:{mute.getsockname()[1]}")))))
"""


def test_a_kafka_that_hangs_holds_nobody_up() -> None:
    """It takes connections and says nothing, as a frozen broker does: neither a flush nor the exit waits."""
    done = subprocess.run(
        [sys.executable, "-c", MUTE], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    took_s, asking = map(float, done.stdout.split())
    assert 3 * PATIENCE_S <= took_s < 6 * PATIENCE_S
    assert asking == 1
