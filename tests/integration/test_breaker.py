"""A stream that refuses too much, on a real broker and engine: paused alone, exact afterwards."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.kafka import Admin
from infra.producer import Producer
from tests.support.clickhouse import ask
from tests.support.commands import Commands
from tests.support.events import T0_MS, camera_event, message
from tests.support.oracle import totals
from tests.support.waiting import eventually
from tests.support.workers import River, river

# more than the polls that an agent's buffer holds: a stream that blocked it would block the others
PARTITIONS = 8
LIMIT = {"breaker_percent": 50, "breaker_events": 200}


@pytest.fixture
def stream(stack: Any, tmp_path: Path) -> Iterator[River]:
    """A topic of cameras; that of payments is made beside it."""
    with river(stack, tmp_path, PARTITIONS) as made:
        with Admin(stack.brokers) as admin:
            admin.create(payments(made), 2, 1, {"message.timestamp.type": "LogAppendTime"})
        yield made


@pytest.fixture
def songlo(
    stack: Any, stream: River, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Commands:
    """The command line."""
    topics = {"camera": stream.name, "qr": payments(stream)}
    return Commands(stream, stack.clickhouse_http, topics, monkeypatch, capfd)


def payments(stream: River) -> str:
    """The topic of payments beside a river's own."""
    return stream.name.replace("camera", "qr")


def start(stream: River) -> Any:
    """A worker of both streams."""
    return stream.start(topics={"qr": payments(stream)}, **LIMIT)


def pay(stream: River, first: int, count: int) -> None:
    """Send payments."""
    with Producer(stream.stack.brokers) as producer:
        for i in range(first, first + count):
            event = {
                "event_id": f"q{i}",
                "occurred_at": T0_MS + i,
                "ward_code": "02200",
                "merchant_id": f"m{i}",
            }
            more = {
                "merchant_category": "market",
                "provider": "vietqr",
                "succeeded": 1,
                "failed": 0,
                "amount_vnd": 1,
            }
            producer.send(payments(stream), event["merchant_id"].encode(), message({**event, **more}))


def paid(stream: River) -> int:
    """Payments that analysts see."""
    ((count,),) = ask(stream.server, "SELECT sum(reports) FROM qr_minute")
    return int(count)


def cameras(first: int, count: int) -> list[tuple[bytes, bytes]]:
    """Valid events of many cameras, so of all partitions."""
    keys = [f"cam-{i % 50}" for i in range(first, first + count)]
    return [
        (key.encode(), message(camera_event(f"e{i}", i / 100, camera_id=key)))
        for i, key in enumerate(keys, first)
    ]


def test_a_stream_that_refuses_too_much_pauses_alone_and_goes_on_when_it_is_resumed(
    stream: River, songlo: Commands
) -> None:
    """Payments go on, a new worker obeys, drain and lag say so; afterwards every event is counted once.

    camera   300 good │ 480 broken │ 300 good          paused within the broken ones, after each resume
    qr       100      │    100 while camera is paused  folded at once
    """
    before, after = cameras(0, 300), cameras(300, 300)
    broken = [(f"cam-{i % 50}".encode(), b"{broken %d" % i) for i in range(480)]
    stream.produce(before)
    pay(stream, 0, 100)
    first = start(stream)
    stream.drain()
    stream.produce([*broken, *after])
    eventually(lambda: first.status().get("paused") == ["camera"], 60)
    assert "stream camera is paused, the others go on" in first.log()

    pay(stream, 100, 100)
    eventually(lambda: paid(stream) == 200, 60)
    ((dead,),) = ask(stream.server, "SELECT count() FROM dead_letters FINAL")
    assert 100 < dead < 400

    second = start(stream)
    second.wait_ready()
    first.signal(signal.SIGKILL)
    first.wait_exit()
    eventually(lambda: len(second.status()["assigned"]) == PARTITIONS + 2, 60)
    assert second.status()["paused"] == ["camera"]
    assert ask(stream.server, "SELECT count() FROM dead_letters FINAL") == [(dead,)]

    assert songlo("lag", "--json") == 0
    assert {row["topic"]: row["paused"] for row in json.loads(songlo.out)} == {
        stream.name: True,
        payments(stream): False,
    }
    assert songlo("drain", "--timeout", "60") == 1
    assert "stream camera is paused since" in songlo.err
    assert "60 s" not in songlo.err

    resumes = 0
    while songlo("drain", "--timeout", "60"):
        assert songlo("resume", "camera") == 0
        resumes += "goes on" in songlo.out
    assert resumes > 1
    assert stream.totals() == totals([value for _, value in (*before, *broken, *after)])
    assert stream.conserved()
    assert ask(stream.server, "SELECT count() FROM dead_letters FINAL") == [(480,)]
    assert paid(stream) == 200
