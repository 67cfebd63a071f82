"""`songlo rebuild` on a real Kafka and ClickHouse, with workers that go on meanwhile, or die."""

import json
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from infra.kafka.access import KafkaFailureError
from infra.kafka.reader import LogReader
from sinks.clickhouse import Session
from sinks.migrate import migrate
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from tests.support.clickhouse import ask
from tests.support.commands import Commands
from tests.support.events import T0_MS, camera_event, message
from tests.support.kafka import cut
from tests.support.oracle import totals
from tests.support.waiting import eventually
from tests.support.workers import River, river

T0 = "2024-05-13T15:00:00"
# what `made` sends is of the hour from here on; each partition has closed its first fifty minutes
FIFTY = ("--from", T0, "--to", "2024-05-13T15:50:00")
Sent = list[tuple[bytes, bytes]]


class Stack(Protocol):
    """Addresses of the stack that tests share."""

    brokers: str
    clickhouse: str
    clickhouse_http: str


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic, a database that knows it, and no worker yet."""
    with river(stack, tmp_path) as made:
        migrate(made.server, [replace(s, topic=topic_of(made, s.name)) for s in load_streams().values()])
        yield made


@pytest.fixture
def songlo(
    stream: River, stack: Stack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Commands:
    """The command line, on the river's topic and database."""
    topics = {name: topic_of(stream, name) for name in load_streams()}
    return Commands(stream, stack.clickhouse_http, topics, monkeypatch, capfd)


def topic_of(stream: River, name: str) -> str:
    """The river's topic is that of cameras; there are no others."""
    return stream.name if name == "camera" else f"{stream.name}-{name}"


def made(count: int, seed: int, *, first: int = 0, late: float = 0.05) -> Sent:
    """Camera events over the hour after T0, some of them sent twice, some of any minute before."""
    rng = random.Random(seed)
    sent: Sent = []
    for i in range(first, first + count):
        at_s = (i - first) * 3600 / count
        at_s = rng.uniform(0, at_s) if rng.random() < late else at_s
        camera = f"cam-{rng.randrange(20)}"
        event = camera_event(
            f"e{i}", at_s, camera_id=camera, count=rng.randint(1, 3), speed_kmh=rng.randrange(90)
        )
        sent.append((camera.encode(), message(event)))
        if rng.random() < 0.08:
            sent.append(rng.choice(sent))
    return sent


def values(sent: Sent) -> list[bytes]:
    """Without the keys."""
    return [value for _, value in sent]


def verdicts(stream: River) -> set[str]:
    """What `conservation` says."""
    return {verdict for (verdict,) in ask(stream.server, "SELECT DISTINCT verdict FROM conservation")}


def late_events(stream: River) -> int:
    """How many the view shows in the first fifty minutes."""
    sql = (
        f"SELECT sum(late_events) FROM camera_minute WHERE window_start < toDateTime({T0_MS // 1000 + 3000})"
    )
    return int(ask(stream.server, sql)[0][0])


def test_late_events_become_part_of_their_windows(stream: River, songlo: Commands) -> None:
    """Nothing differs, before and after; late events are counted as such no more, duplicates still found."""
    sent = made(4_000, seed=1)
    stream.produce(sent)
    stream.start()
    stream.drain()
    late = late_events(stream)
    assert late > 50
    assert songlo("rebuild", "camera", *FIFTY, "--json") == 0
    told = json.loads(songlo.out)
    assert (told["equal"], told["applied"], told["windows"], told["late"]) == (True, False, 50, late)
    assert late_events(stream) == late

    assert songlo("rebuild", "camera", *FIFTY, "--apply") == 0
    assert f"{late} late events are now part of their windows" in songlo.out
    assert late_events(stream) == 0
    assert stream.totals() == totals(values(sent))
    assert verdicts(stream) == {"exact"}

    stream.produce(sent[:2_000])
    more = made(500, seed=2, first=10_000, late=1)
    stream.produce(more)
    stream.drain()
    assert 0 < late_events(stream) <= 500
    assert stream.totals() == totals(values(sent + more))
    assert songlo("rebuild", "camera", *FIFTY, "--apply") == 0
    assert late_events(stream) == 0
    assert stream.totals() == totals(values(sent + more))
    assert verdicts(stream) == {"exact"}
    assert ask(stream.server, "SELECT count() FROM corrections") == [(0,)]


def test_damage_is_shown_and_repaired(stream: River, songlo: Commands) -> None:
    """Rows that were deleted, invented and changed by hand; nothing is left behind."""
    sent = made(2_000, seed=3)
    stream.produce(sent)
    stream.start()
    stream.drain()
    damage(stream)
    assert verdicts(stream) != {"exact"}
    assert songlo("rebuild", "camera", *FIFTY, "--limit", "4") == 1
    lines = songlo.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[2] for line in lines[1:5]] == ["missing", "missing", "surplus", "different"]
    assert lines[-1] == "nothing was changed: --apply swaps this in"
    assert "rows: 2 missing, 1 surplus, 1 different" in songlo.out
    assert stream.totals() != totals(values(sent))

    assert songlo("rebuild", "camera", *FIFTY, "--apply", "--json") == 0
    told = json.loads(songlo.out)
    kinds = ("missing", "surplus", "different", "wrong_windows")
    assert [told[kind] for kind in kinds] == [2, 1, 1, 3]
    assert stream.totals() == totals(values(sent))
    assert verdicts(stream) == {"exact"}
    assert songlo("rebuild", "camera", *FIFTY) == 0
    left = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE '%shadow%'"
    assert ask(stream.server, left) == []


def damage(stream: River) -> None:
    """The first minute loses two cameras, the second has one too many, the third counts objects twice."""
    zero, one, two = (f"window_start = toDateTime({T0_MS // 1000 + 60 * n})" for n in range(3))
    columns = "window_start, window_seconds, camera_id, ward_code, kind, partition, version, events, objects"
    with closing(Session(stream.server)) as session:
        cameras = f"SELECT DISTINCT camera_id FROM camera_minute WHERE {zero} LIMIT 2"
        session.query(
            "damage",
            f"ALTER TABLE camera_windows DELETE WHERE {zero} AND camera_id IN ({cameras})"
            " SETTINGS mutations_sync = 1",
        )
        for place, camera, objects in ((one, "'nobody'", "objects"), (two, "camera_id", "2 * objects")):
            session.query(
                "damage",
                f"INSERT INTO camera_windows ({columns}) SELECT window_start, 60, {camera}, ward_code, kind,"
                f" partition, version, events, {objects} FROM camera_windows FINAL"
                f" WHERE {place} AND late_id = 0 LIMIT 1",
            )


def test_rebuilds_under_load_lose_nothing(stream: River, songlo: Commands) -> None:
    """Late events and duplicates keep coming to windows that are swapped again and again; a worker dies."""
    sent = made(6_000, seed=4)
    stream.produce(sent)
    first = stream.start()
    stream.drain()
    more = made(6_000, seed=5, first=20_000, late=1)
    random.Random(6).shuffle(more)
    more += random.Random(7).sample(sent, 1_000)
    with flowing(stream, more) as flow:
        found = 0
        for n in range(5):
            assert songlo("rebuild", "camera", *FIFTY, "--apply") == 0
            found += "late events are now part" in songlo.out
            if n == 1:
                first.signal(signal.SIGKILL)
                stream.start()
            if n == 2:
                stream.start()
    assert flow.sent == len(more)
    assert found >= 2, "the rebuilds met no events that came meanwhile"
    stream.drain()
    assert stream.totals() == totals(values(sent + more))
    assert verdicts(stream) == {"exact"}
    assert songlo("rebuild", "camera", *FIFTY, "--apply") == 0
    assert late_events(stream) == 0
    assert stream.totals() == totals(values(sent + more))
    assert verdicts(stream) == {"exact"}


class Flow:
    """How many messages have been sent."""

    sent = 0


@contextmanager
def flowing(stream: River, messages: Sent) -> Iterator[Flow]:
    """Send messages in small lots meanwhile, the rest of them at the end."""
    flow, hurry = Flow(), threading.Event()

    def send() -> None:
        for at in range(0, len(messages), 200):
            lot = messages[at : at + 200]
            stream.produce(lot)
            flow.sent += len(lot)
            hurry.wait(0.3)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield flow
    finally:
        hurry.set()
        thread.join()


def test_a_worker_that_replays_after_a_swap_undoes_nothing(stream: River, songlo: Commands) -> None:
    """Its progress is set back to before the late events: it writes all rows again, as they were."""
    sent = made(3_000, seed=8)
    stream.produce(sent[:1_500])
    worker = stream.start()
    stream.drain()
    ask(stream.server, "CREATE TABLE before ENGINE = Memory AS SELECT * FROM progress FINAL")
    stream.produce(sent[1_500:])
    stream.drain()
    assert songlo("rebuild", "camera", *FIFTY, "--apply") == 0
    worker.signal(signal.SIGKILL)
    worker.wait_exit()
    rows = ask(stream.server, "SELECT count() FROM camera_windows")
    ask(stream.server, "TRUNCATE TABLE progress")
    ask(stream.server, "INSERT INTO progress SELECT * FROM before")
    stream.start()
    stream.drain()
    assert ask(stream.server, "SELECT count() FROM camera_windows") != rows
    assert late_events(stream) == 0
    assert stream.totals() == totals(values(sent))
    assert verdicts(stream) == {"exact"}


def test_open_windows_and_a_cut_log_are_refused(stream: River, songlo: Commands) -> None:
    """Each names the time or the offset; what a gap has cost is accounted for when it is accepted."""
    sent = made(2_000, seed=9, late=0)
    stream.produce(sent)
    stream.start()
    stream.drain()
    assert songlo("rebuild", "camera", "--from", T0, "--to", "2024-05-13T17:00") == 1
    assert "has not closed the window of 2024-05-13 15:5" in songlo.err
    assert "--to '2024-05-13 15:5" in songlo.err
    assert songlo("rebuild", "camera", "--from", T0, "--to", T0) == 2
    assert "no window of 60 s" in songlo.err
    assert songlo("rebuild", "qr", *FIFTY) == 1
    assert "nothing of this stream is stored yet" in songlo.err

    ends = stream.ends()
    cut(stream.stack.brokers, {(stream.name, 0): ends[0] // 4})
    assert songlo("rebuild", "camera", *FIFTY, "--apply") == 1
    assert f"{stream.name}[0]: Kafka's log starts at offset {ends[0] // 4}" in songlo.err
    assert stream.totals() == totals(values(sent))
    assert songlo("rebuild", "camera", *FIFTY, "--accept-gap") == 1
    assert songlo("rebuild", "camera", *FIFTY, "--accept-gap", "--apply") == 0
    lost = sum(n for n, _ in totals(values(sent)).values()) - sum(n for n, _ in stream.totals().values())
    assert lost > 0
    assert ask(stream.server, "SELECT sum(events) FROM corrections FINAL") == [(-lost,)]
    assert verdicts(stream) == {"exact"}


def test_the_reader_reads_what_it_is_told(stream: River) -> None:
    """From one offset to another, with append times; the first offset since a time; a log that was cut."""
    sent: Sent = [(b"cam-1", message(camera_event(f"e{i}", i))) for i in range(50)]
    stream.produce(sent)
    ((partition, end),) = ((p, end) for p, end in stream.ends().items() if end)
    place = stream.name, partition
    with LogReader(KafkaAccess.at(stream.stack.brokers)) as reader:
        batches = list(reader.read(*place, 10, 40))
        assert [v for b in batches for v in b.values] == values(sent)[10:40]
        assert [o for b in batches for o in b.offsets or ()] == list(range(10, 40))
        newest = max(b.append_ms for b in reader.read(*place, 0, end))
        assert reader.first_since({place: 1}) == {place: 0}
        assert reader.first_since({place: newest + 1}) == {place: None}
        assert list(reader.read(*place, end, end)) == []
        cut(stream.stack.brokers, {place: 20})
        eventually(lambda: stream.ends() and _refused(reader, place))


def _refused(reader: LogReader, place: tuple[str, int]) -> bool:
    try:
        list(reader.read(*place, 10, 40))
    except KafkaFailureError as error:
        return "OffsetOutOfRange" in str(error)
    return False
