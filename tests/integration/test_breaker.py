"""A stream that refuses too much, on a real broker and engine: paused alone, exact afterwards."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.kafka.admin import Admin
from infra.kafka.producer import Producer
from streams.kafka_access import KafkaAccess
from tests.support.clickhouse import ask
from tests.support.commands import Commands
from tests.support.events import T0_MS, camera_event, message
from tests.support.kafka import send_anyhow
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
        with Admin(KafkaAccess.at(stack.brokers)) as admin:
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
    with Producer(KafkaAccess.at(stream.stack.brokers)) as producer:
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
    broken = [(f"cam-{i}".encode(), b"{broken %d" % i) for i in range(480)]
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

    # each lets it go on up to the next many that are refused
    resumes = 0
    while songlo("drain", "--timeout", "60"):
        assert songlo("resume", "camera") == 0
        resumes += "goes on" in songlo.out
    assert resumes > 1
    assert stream.totals() == totals([value for _, value in (*before, *broken, *after)])
    assert stream.conserved()
    assert ask(stream.server, "SELECT count() FROM dead_letters FINAL") == [(480,)]
    assert paid(stream) == 200


def garbage(i: int, camera: str = "cam-x") -> dict[str, object]:
    """A camera event of a kind that there is not."""
    return camera_event(f"x{i}", 1, camera_id=camera, kind="xe")


def bundle_of(count: int) -> bytes:
    """One message with so many events of a gateway that has no cameras' names."""
    return message(*[{**garbage(i), "camera_id": ""} for i in range(count)])


# what one gateway sends: the keys of messages, and the messages
GATEWAYS: dict[str, Callable[[], list[tuple[bytes | None, bytes]]]] = {
    "of its cameras": lambda: [(b"gw-1", message(garbage(i, f"cam-{i % 500}"))) for i in range(60_000)],
    "with random keys": lambda: [(b"%d" % i, message(garbage(i))) for i in range(60_000)],
    "without keys": lambda: [(None, message(garbage(i))) for i in range(60_000)],
    "in bundles": lambda: [(b"gw-1", bundle_of(10_000)) for _ in range(6)],
}


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_garbage_of_one_gateway_costs_that_gateway_only(
    stream: River, songlo: Commands, name: str
) -> None:
    """60,000 refused events in 30 times the window of the breaker: the stream goes on, all is accounted for.

    gateway   60,000 refused: 1,000 letters in each partition and minute, the others are noted
    camera    300 good before, 300 behind: all counted
    """
    before, after = cameras(0, 300), cameras(300, 300)
    stream.produce(before)
    start_default(stream)
    stream.drain()
    send_anyhow(stream.stack.brokers, stream.name, GATEWAYS[name]())
    stream.produce(after)
    assert songlo("drain", "--timeout", "90") == 0
    assert stream.totals() == totals([value for _, value in (*before, *after)])
    ((letters,),) = ask(stream.server, "SELECT count() FROM dead_letters FINAL")
    ((noted, source),) = ask(stream.server, "SELECT sum(not_fetched), any(source) FROM noted_letters")
    assert letters + noted == 60_000
    assert 1000 <= letters <= 1000 * PARTITIONS * 2
    assert source == ("cam-x" if name in ("with random keys", "without keys") else "gw-1")
    # the topic is a test's own: the view does not know its table
    assert ask(stream.server, "SELECT countIf(dead_stored != dead) FROM conservation") == [(0,)]
    (worker,) = stream.workers
    worker.signal(signal.SIGTERM)
    worker.wait_exit()
    assert "of them only noted: " in worker.log()
    assert f"source '{source}' has spent its share" in worker.log()
    assert len(worker.log().splitlines()) < 60


def start_default(stream: River) -> Any:
    """A worker of both streams with the breaker that is the default."""
    return stream.start(topics={"qr": payments(stream)})


def test_one_resume_skips_what_is_refused_by_now(stream: River, songlo: Commands) -> None:
    """60,000 bad messages of all cameras: one command lets all good ones be counted, over a restart.

    camera   300 good │ 60,000 broken │ 300 good       then 600 broken and 300 good after the command
    """
    before, after, later = cameras(0, 300), cameras(300, 300), cameras(600, 300)
    broken = [(f"cam-{i % 600}".encode(), b"{broken %d" % i) for i in range(60_000)]
    stream.produce([*before, *broken, *after])
    first = start(stream)
    eventually(lambda: first.status().get("paused") == ["camera"], 60)
    ((letters,),) = ask(stream.server, "SELECT count() FROM dead_letters FINAL")
    assert letters < 10_000

    assert songlo("resume", "camera", "--past") == 0
    assert "goes on" in songlo.out
    first.signal(signal.SIGKILL)
    first.wait_exit()
    second = start(stream)
    assert songlo("drain", "--timeout", "120") == 0
    assert stream.totals() == totals([value for _, value in (*before, *after)])
    assert stream.conserved()
    ((noted,),) = ask(stream.server, "SELECT sum(not_fetched) FROM noted_letters")
    ((letters,),) = ask(stream.server, "SELECT count() FROM dead_letters FINAL")
    assert (noted + letters, second.status().get("paused")) == (60_000, [])
    assert songlo("lag") == 0
    assert f"of stream camera {noted:,} refused events are only noted" in songlo.err

    stream.produce([*broken[:600], *later])
    eventually(lambda: second.status().get("paused") == ["camera"], 60)
    while songlo("drain", "--timeout", "60"):
        assert songlo("resume", "camera") == 0
    assert stream.totals() == totals([value for _, value in (*before, *after, *later)])
