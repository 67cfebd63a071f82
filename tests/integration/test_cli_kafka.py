"""Commands against a real broker and a real ClickHouse; the topics are shared, so only growth is compared."""

import gzip
import io
import json
import os
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from infra.cli import cli
from infra.cli.common import run
from infra.kafka.access import KafkaFailureError
from infra.kafka.admin import Admin
from infra.kafka.producer import Producer
from streams.core.home import partition_of
from streams.kafka_access import KafkaAccess

TOPIC = "camera.events"


class Stack(Protocol):
    """Addresses of the stack that tests share."""

    brokers: str
    clickhouse: str
    clickhouse_http: str


@pytest.fixture
def songlo(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> "Songlo":
    """The command line, on the shared stack, with topics and a database of its own."""
    for name in [n for n in os.environ if n.startswith("SONGLO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SONGLO_HOME", str(tmp_path))
    monkeypatch.setenv("SONGLO_BROKERS", stack.brokers)
    monkeypatch.setenv("SONGLO_CLICKHOUSE", stack.clickhouse)
    monkeypatch.setenv("SONGLO_CLICKHOUSE_HTTP", stack.clickhouse_http)
    monkeypatch.setenv("SONGLO_CLICKHOUSE_DATABASE", f"cli_{uuid4().hex[:8]}")
    songlo = Songlo(stack, monkeypatch, capfd)
    assert songlo("topics") == 0
    return songlo


class Songlo:
    """Runs commands in this process, and keeps what the last one wrote."""

    def __init__(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.stack = stack
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        self.out = self.err = ""

    def __call__(self, *args: str, stdin: bytes = b"") -> int:
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capfd.readouterr()
        status = run(cli, args)
        self.out, self.err = self._capfd.readouterr()
        return status

    def ends(self) -> dict[int, int]:
        """The end of each partition of the camera topic."""
        with Admin(KafkaAccess.at(self.stack.brokers)) as admin:
            return {partition: end for (_, partition), end in admin.ends([TOPIC]).items()}


def event(n: int, **other: Any) -> dict[str, Any]:
    """A valid camera event."""
    base = {"event_id": f"{uuid4()}", "occurred_at": 1_750_000_000_000 + n, "ward_code": "02203"}
    return base | {"camera_id": f"cam-{n % 7}", "kind": "vehicle"} | other


def encoded(*events: dict[str, Any]) -> bytes:
    """Lines for `produce`."""
    return "\n".join(json.dumps(e) for e in events).encode()


def grown(before: dict[int, int], after: dict[int, int]) -> dict[int, int]:
    """Messages that came to each partition."""
    return {p: after[p] - before[p] for p in after if after[p] != before[p]}


def test_topics_are_created_once(songlo: Songlo) -> None:
    """The second time there is nothing to do."""
    assert songlo("topics", "--json") == 0
    assert {step["action"] for step in json.loads(songlo.out)} == {"keep"}


def test_produce_sends_each_event_to_the_partition_of_its_key(songlo: Songlo) -> None:
    """All arrive, where every Kafka client would send them."""
    before = songlo.ends()
    events = [event(n) for n in range(500)]
    assert songlo("produce", "camera", "--json", stdin=encoded(*events)) == 0
    assert json.loads(songlo.out)["messages"] == 500
    expected: dict[int, int] = {}
    for e in events:
        partition = partition_of(e["camera_id"].encode(), len(before))
        expected[partition] = expected.get(partition, 0) + 1
    assert grown(before, songlo.ends()) == expected


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_produce_reads_files(songlo: Songlo, tmp_path: Path, packed: bool) -> None:
    """Plain and gzip, whatever they are called."""
    data = encoded(event(1), event(2))
    file = tmp_path / "events"
    file.write_bytes(gzip.compress(data) if packed else data)
    before = songlo.ends()
    assert songlo("produce", "camera", str(file)) == 0
    assert sum(grown(before, songlo.ends()).values()) == 2
    assert "2 events sent" in songlo.err


def test_produce_sends_nothing_when_something_is_refused(songlo: Songlo) -> None:
    """The first ten problems by line and field, the number of the others, exit status 1."""
    before = songlo.ends()
    bad = [event(n, count=0) for n in range(14)]
    assert songlo("produce", "camera", stdin=encoded(event(1), *bad)) == 1
    assert grown(before, songlo.ends()) == {}
    lines = songlo.err.splitlines()
    assert lines[0].startswith("songlo: line 2: count: ")
    assert lines[-1].startswith("songlo: and 4 more; nothing was sent")
    assert len(lines) == 11


def test_a_bundle_is_a_message_for_each_home(songlo: Songlo) -> None:
    """An array goes to the partitions of its events, each of which comes once; raw it travels whole."""
    before = songlo.ends()
    events = [event(n) for n in range(21)]
    line = json.dumps(events).encode()
    homes = {partition_of(e["camera_id"].encode(), len(before)) for e in events}
    assert songlo("produce", "camera", "--json", stdin=line) == 0
    assert (json.loads(songlo.out)["messages"], json.loads(songlo.out)["events"]) == (len(homes), 21)
    assert grown(before, after := songlo.ends()) == dict.fromkeys(homes, 1)
    assert songlo("produce", "camera", "--raw", stdin=line) == 0
    first = partition_of(events[0]["camera_id"].encode(), len(before))
    assert grown(after, songlo.ends()) == {first: 1}


def test_raw_sends_any_bytes(songlo: Songlo) -> None:
    """Broken, empty and large lines, each one message; a megabyte of noise passes."""
    before = songlo.ends()
    noise = bytes(range(11, 256)) * 4300
    lines = [b'{"camera_id"', b"", b"\xff\xfe", b"[]", noise, json.dumps(event(1)).encode()]
    assert len(noise) > 1_000_000
    assert songlo("produce", "camera", "--raw", stdin=b"\n".join(lines) + b"\n") == 0
    assert sum(grown(before, songlo.ends()).values()) == len(lines)


def test_the_same_line_always_goes_to_the_same_partition(songlo: Songlo) -> None:
    """Checked or raw, so that a duplicate meets its first."""
    line = encoded(event(3, camera_id="cam-02203-009"))
    places = []
    for options in ([], ["--raw"], ["--raw"]):
        before = songlo.ends()
        assert songlo("produce", "camera", *options, stdin=line) == 0
        places.append(grown(before, songlo.ends()))
    assert places == [{partition_of(b"cam-02203-009", 6): 1}] * 3


def test_simulate_sends_what_it_says(songlo: Songlo) -> None:
    """The tally is what arrived."""
    before = songlo.ends()
    args = ["simulate", "--json", "--rate", "200", "--duration", "60", "--stream", "camera"]
    args += ["--garbage", "0.1", "--duplicates", "0.1", "--start", "2025-11-24T08:00:00+07:00"]
    assert songlo(*args) == 0
    said = json.loads(songlo.out)
    assert sum(grown(before, songlo.ends()).values()) == said["messages"] > 10_000
    assert said["broken"] > 500


def test_migrate_sql_lag_and_drain(songlo: Songlo) -> None:
    """From an empty server: tables, a query, what is left to fold, and a time-out that says so."""
    assert songlo("sql", "SELECT 1") == 1
    assert "songlo migrate" in songlo.err
    assert songlo("migrate", "--json") == 0
    assert json.loads(songlo.out)["applied"]
    assert songlo("migrate", "--json") == 0
    assert json.loads(songlo.out)["applied"] == []

    assert songlo("sql", "SELECT count() FROM wards", "--format", "TSV") == 0
    assert songlo.out == "15\n"
    assert songlo("sql", "-", stdin=b"SELECT 'T\xc3\xa2n H\xc3\xa0' AS name FORMAT JSONEachRow") == 0
    assert json.loads(songlo.out) == {"name": "Tân Hà"}
    assert songlo("sql", "SELEC 1") == 1
    assert "Syntax error" in songlo.err
    assert songlo.err.count("\n") == 1

    assert songlo("produce", "camera", stdin=encoded(event(1))) == 0
    assert songlo("lag", "--json") == 0
    camera = [p for p in json.loads(songlo.out) if p["topic"] == TOPIC]
    assert len(camera) == 6
    # no worker has this database: all that Kafka has is left
    assert sum(p["lag"] for p in camera) == sum(songlo.ends().values())
    assert songlo("drain", "--timeout", "0.1", "--json") == 1
    assert json.loads(songlo.out)["drained"] is False
    assert "messages are left" in songlo.err


def test_drain_ends_when_progress_has_reached_the_end(songlo: Songlo) -> None:
    """It believes ClickHouse's progress, which is written after the rows."""
    assert songlo("migrate") == 0
    with Admin(KafkaAccess.at(songlo.stack.brokers)) as admin:
        ends = admin.ends([TOPIC, "qr.payments", "service.transactions"])
    values = ", ".join(f"('s', '{topic}', {p}, {end})" for (topic, p), end in ends.items())
    # written by hand: this test is about the waiting
    assert songlo("sql", f"INSERT INTO progress (stream, topic, partition, next_offset) VALUES {values}") == 0
    assert songlo("drain", "--timeout", "5") == 0


def test_drain_notices_a_topic_that_was_recreated(songlo: Songlo) -> None:
    """Progress beyond the end of the log can't be waited for."""
    assert songlo("migrate") == 0
    insert = (
        f"INSERT INTO progress (stream, topic, partition, next_offset) VALUES ('s', '{TOPIC}', 0, 1000000000)"
    )
    assert songlo("sql", insert) == 0
    assert songlo("drain", "--timeout", "5") == 1
    assert "created anew" in songlo.err
    assert "SONGLO_EPOCH=1" in songlo.err


def test_a_broker_that_is_away_is_named() -> None:
    """An address where nobody listens: one error, with the address."""
    with pytest.raises(KafkaFailureError, match=r"does not answer at 127\.0\.0\.1:1: Connection refused"):
        Producer(KafkaAccess.at("127.0.0.1:1"))
    with pytest.raises(KafkaFailureError, match=r"does not answer at 127\.0\.0\.1:1: Connection refused"):
        Admin(KafkaAccess.at("127.0.0.1:1"))


def test_a_topic_that_is_missing_is_named(stack: Stack) -> None:
    """With the command that creates it."""
    kafka = KafkaAccess.at(stack.brokers)
    with Producer(kafka) as producer, pytest.raises(KafkaFailureError, match="songlo topics"):
        producer.send(f"missing-{uuid4().hex[:6]}", b"k", b"v")
