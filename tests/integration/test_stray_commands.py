"""Strays on a real broker and engine: whoever sends an event to wherever, commands see it counted once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import pytest

from infra.kafka.producer import Producer
from sinks.migrate import migrate
from streams.core.home import partition_of
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from tests.support.clickhouse import ask
from tests.support.commands import Commands
from tests.support.events import camera_event, message
from tests.support.oracle import totals
from tests.support.workers import River, river

PARTITIONS = 3
Event = dict[str, object]


@pytest.fixture
def stream(stack: Any, tmp_path: Path) -> Iterator[River]:
    """A topic, a database that knows it, and no worker yet."""
    with river(stack, tmp_path, PARTITIONS) as made:
        topics = {s.name: made.name if s.name == "camera" else f"{made.name}-{s.name}" for s in specs()}
        migrate(made.server, [replace(s, topic=topics[s.name]) for s in specs()])
        yield made


@pytest.fixture
def songlo(
    stack: Any, stream: River, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Commands:
    """The command line."""
    return Commands(stream, stack.clickhouse_http, {"camera": stream.name}, monkeypatch, capfd)


def specs() -> list[Any]:
    """All streams."""
    return list(load_streams().values())


def key(event: Event) -> bytes:
    """As its producer should have it."""
    return str(event["camera_id"]).encode()


def send_anyhow(stream: River, events: list[Event], rng: Random) -> None:
    """As librdkafka does, without keys, and in bundles of mixed homes; a third of them twice."""
    again = rng.sample(events, len(events) // 3)
    with Producer(KafkaAccess.at(stream.stack.brokers)) as producer:
        for event in [*events, *again]:
            producer.send(stream.name, key(event), message(event), crc32(key(event)) % PARTITIONS)
        for n in range(0, len(events), 7):
            producer.send(stream.name, None, message(*events[n : n + 7]), rng.randrange(PARTITIONS))


def test_drain_waits_until_strays_are_home(stream: River, songlo: Commands, tmp_path: Path) -> None:
    """Of three producers of the same events each counts once, and commands say what they have seen."""
    rng = Random(1)
    events = [
        camera_event(f"e{n}", n * 3, camera_id=f"cam-{rng.randrange(30)}", count=n % 5 + 1)
        for n in range(1500)
    ]
    stream.start()
    send_anyhow(stream, events, rng)
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(message(*events[n : n + 5]) for n in range(0, len(events), 5)))
    assert songlo("produce", "camera", str(file)) == 0
    assert songlo("drain", "--timeout", "90") == 0
    assert stream.totals() == totals(map(message, events))
    ends = stream.ends()
    assert songlo("drain", "--timeout", "5") == 0
    assert stream.ends() == ends, "a stray was sent twice"

    assert songlo("lag", "--json") == 0
    found = json.loads(songlo.out)
    assert [p["lag"] for p in found] == [0] * PARTITIONS
    # three quarters of 3,500 events went by other ways; of those a third was at home
    assert 1000 < sum(p["strays"] for p in found) < 3500
    assert sum(p["away"] for p in found) == 0
    sql = "SELECT partition, verdict, events_read - strays - duplicates FROM conservation ORDER BY partition"
    homes = [sum(partition_of(key(e), PARTITIONS) == p for e in events) for p in range(PARTITIONS)]
    assert ask(stream.server, sql) == [(p, "exact", homes[p]) for p in range(PARTITIONS)]


def test_a_rebuild_finds_nothing_wrong_where_strays_are(stream: River, songlo: Commands) -> None:
    """It judges by the homes that are stored: a stray is of no window where it lies."""
    rng = Random(2)
    events = [camera_event(f"e{n}", n * 3, camera_id=f"cam-{rng.randrange(30)}") for n in range(1200)]
    stream.start()
    send_anyhow(stream, events, rng)
    assert songlo("drain", "--timeout", "90") == 0
    fifty = ("--from", "2024-05-13T15:00:00", "--to", "2024-05-13T15:50:00")
    assert songlo("rebuild", "camera", *fifty, "--json") == 0
    told = json.loads(songlo.out)
    assert (told["equal"], told["windows"], told["events"]) == (True, 50, 1000)
    assert songlo("rebuild", "camera", *fifty, "--apply") == 0
    assert stream.totals() == totals(map(message, events))
