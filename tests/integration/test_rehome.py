"""`songlo topics --rehome` on a real Kafka and ClickHouse, among workers that were killed or frozen."""

import json
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import pytest

from infra.kafka.admin import Admin
from infra.operate.homes.start import rehome_homeless, rehomer
from infra.settings.environment import load_settings
from sinks.migrate import migrate
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.errors import EXIT_FAILED, EXIT_HELP, EXIT_OK
from tests.support.clickhouse import ask
from tests.support.commands import Commands
from tests.support.events import camera_event, message
from tests.support.kafka import cut, grow
from tests.support.oracle import totals
from tests.support.strays import by_confluent, by_kafka_python
from tests.support.waiting import eventually
from tests.support.workers import River, Worker, river

Events = list[dict[str, object]]


class Stack(Protocol):
    """Addresses of the stack that tests share."""

    brokers: str
    clickhouse: str
    clickhouse_http: str


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic of three partitions, a database, and no worker yet."""
    with river(stack, tmp_path) as made_river:
        specs = load_streams().items()
        migrate(made_river.server, [replace(s, topic=topic_of(made_river, name)) for name, s in specs])
        yield made_river


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


def made(count: int, seed: int) -> Events:
    """Distinct events of 40 cameras over half an hour, some of them minutes late."""
    rng = random.Random(seed)
    return [
        camera_event(
            f"e{seed}-{i}",
            i * 1800 / count - rng.choice((0, 0, 0, 400)),
            camera_id=f"cam-{rng.randrange(40)}",
            count=rng.randint(1, 3),
        )
        for i in range(count)
    ]


def send(to: River, events: Events) -> None:
    """By two clients whose partitioners differ, so that each event comes twice, at home once at most."""
    messages: list[tuple[bytes | None, bytes]] = [(str(e["camera_id"]).encode(), message(e)) for e in events]
    by_confluent(to.stack.brokers, to.name, messages)
    by_kafka_python(to.stack.brokers, to.name, messages)


def stop(worker: Worker) -> None:
    """As it is meant."""
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit(20) == EXIT_OK


def nobody_is_left(stream: River) -> bool:
    """Whether Kafka has seen that the workers are gone, killed or frozen ones too."""
    with Admin(KafkaAccess.at(stream.stack.brokers)) as admin:
        return not admin.members(stream.name)


def frozen(worker: Worker) -> bool:
    """Whether a process is stopped."""
    stat = Path(f"/proc/{worker.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def exact(stream: River, *sent: Events) -> None:
    """Every event counted once, and each partition accounts for what it has."""
    assert stream.totals() == totals(message(e) for events in sent for e in events)
    counts = stream.counts()
    assert counts["folded"] + counts["late"] == sum(map(len, sent))
    assert ask(stream.server, "SELECT DISTINCT verdict FROM conservation") == [("exact",)]


def test_partitions_are_added_and_become_homes(stream: River, songlo: Commands) -> None:
    """While strays come: new partitions hold strays until the rehoming, and are homes after it."""
    before, meanwhile, after = made(600, 1), made(600, 2), made(600, 3)
    first, second = stream.start(metadata_ms=500), stream.start(metadata_ms=500)
    # then it is decided that there are three homes
    first.wait_ready(), second.wait_ready()
    send(stream, before)
    grow(stream.stack.brokers, stream.name, 5)
    send(stream, meanwhile)
    stream.drain()
    exact(stream, before, meanwhile)
    counted = dict(ask(stream.server, "SELECT partition, folded + late FROM stream_progress"))
    assert [counted[p] for p in (3, 4)] == [0, 0]

    assert songlo("topics", "--rehome") == 1
    assert f"the consumer group {stream.name} has members: songlo" in songlo.err
    assert " at 127.0.0.1" in songlo.err
    assert songlo("topics", "--rehome", "--dry-run") == 0
    assert "3 -> 5" in songlo.out
    assert "would rehome" in songlo.out
    for worker in (first, second):
        stop(worker)
    assert songlo("topics", "--rehome", "--json") == 0
    (told,) = json.loads(songlo.out)
    assert (told["homes_before"], told["homes"], told["rehomed"], told["epoch"]) == (3, 5, True, 1)
    assert songlo("topics", "--rehome") == 0
    assert "unchanged" in songlo.out
    assert max(map(len, songlo.out.splitlines())) <= 80

    stream.start(), stream.start()
    send(stream, after)
    stream.drain()
    exact(stream, before, meanwhile, after)
    counted = dict(ask(stream.server, "SELECT partition, folded + late FROM stream_progress"))
    assert all(counted[p] > 0 for p in range(5))
    # what stays at home in five partitions is known there: sent again, it counts no more
    send(stream, after)
    stream.drain()
    exact(stream, before, meanwhile, after)


@pytest.mark.parametrize("place", ["flush.before_rows@2", "flush.before_strays", "flush.before_progress"])
def test_a_worker_frozen_over_a_rehoming_ends_by_itself(stream: River, songlo: Commands, place: str) -> None:
    """In the middle of a flush: what it still writes or sends is refused, with a sentence."""
    before, after = made(600, 1), made(600, 2)
    zombie = stream.start(failpoints=f"{place}=stop", stall_ms=0)
    zombie.wait_ready()
    send(stream, before)
    eventually(lambda: frozen(zombie), 60)
    other = stream.start()
    stream.drain()
    stop(other)
    grow(stream.stack.brokers, stream.name, 5)
    eventually(lambda: nobody_is_left(stream), 60)
    assert songlo("topics", "--rehome") == 0
    last = stream.start()
    send(stream, after)
    stream.drain()
    zombie.signal(signal.SIGCONT)
    assert zombie.wait_exit() == EXIT_FAILED
    assert "rows from before a rehoming are refused, nothing is lost" in zombie.log()
    stream.drain()
    exact(stream, before, after)
    stop(last)


def test_a_flush_that_was_left_in_its_middle_is_ended_first(stream: River, songlo: Commands) -> None:
    """Its strays may have come home: refused with what to do, which helps; workers may run as before."""
    before, after = made(600, 1), made(600, 2)
    killed = stream.start(failpoints="flush.before_progress=kill")
    killed.wait_ready()
    send(stream, before)
    killed.wait_exit()
    grow(stream.stack.brokers, stream.name, 5)
    eventually(lambda: nobody_is_left(stream), 60)
    assert songlo("topics", "--rehome") == 1
    assert "a worker was killed in the middle of a flush" in songlo.err
    again = stream.start()
    stream.drain()
    exact(stream, before)
    stop(again)
    assert songlo("topics", "--rehome") == 0
    stream.start()
    send(stream, after)
    stream.drain()
    exact(stream, before, after)


# as many as a rehoming of three partitions takes
STEPS = 7


def test_interrupted_at_each_step_it_is_run_again(stream: River, songlo: Commands) -> None:
    """Nothing is counted by halves; a worker that is started in between ends, and says what to do."""
    before, after = made(600, 1), [made(300, 10 + n) for n in range(STEPS)]
    first = stream.start()
    send(stream, before)
    stream.drain()
    stop(first)
    grow(stream.stack.brokers, stream.name, 5)
    for number in range(STEPS):
        interrupted(stream, number)
        assert songlo("topics", "--rehome", "--dry-run") == 0
        assert "would rehome" in songlo.out
        exact(stream, before)
        send(stream, after[number])
        if number in (1, 4, 6):
            early = stream.start()
            assert early.wait_exit() == (EXIT_HELP if number == 6 else EXIT_FAILED)
            assert "songlo topics --rehome" in early.log()
            eventually(lambda: nobody_is_left(stream), 60)
            exact(stream, before)
    assert songlo("topics", "--rehome") == 0
    assert ask(stream.server, "SELECT max(change) FROM homes") == [(2,)]
    stream.start()
    stream.drain()
    exact(stream, before, *after)


def interrupted(stream: River, number: int) -> None:
    """A rehoming that ends before its step of this number."""
    environ = {k: v for k, v in os.environ.items() if k != "SONGLO_TEST_STACK"}
    with rehomer(load_settings(environ)) as work, Admin(work.kafka) as admin:
        spec = replace(load_streams()["camera"], topic=stream.name)
        found = work.look(admin.topics([stream.name])[stream.name], spec, forward=True)
        steps = work.steps(found, lambda _: None)
        assert len([*islice(steps, number + 1)]) == number + 1
        steps.close()


def test_an_upgrade_of_a_version_without_homes(stream: River, songlo: Commands) -> None:
    """Its workers may have died in a flush: that counts as never begun; repeats of before can't be told."""
    before, after = made(600, 1), made(600, 2)
    # each to its home of three
    keyed = [(str(e["camera_id"]).encode(), message(e)) for e in before]
    first = stream.start(strays="count")
    stream.produce(keyed[:300])
    stream.drain()
    stop(first)
    killed = stream.start(strays="count", failpoints="flush.before_progress@1=kill")
    stream.produce(keyed[300:])
    killed.wait_exit()
    ask(stream.server, "ALTER TABLE progress UPDATE homes = 0 WHERE 1 SETTINGS mutations_sync = 1")
    ask(stream.server, "TRUNCATE TABLE homes")
    worker = stream.start()
    assert worker.wait_exit() == EXIT_HELP
    assert "songlo topics --rehome" in worker.log()
    assert songlo("migrate") == 0
    assert f"{stream.name}: folded by a version in which events had no homes" in songlo.err

    environ = {k: v for k, v in os.environ.items() if k != "SONGLO_TEST_STACK"}
    told = list(rehome_homeless(load_settings(environ)))
    assert "a version that knew no homes, rehoming" in told[0]
    assert "may count twice" in told[1]
    assert list(rehome_homeless(load_settings(environ))) == []
    assert songlo("migrate") == 0
    assert "no homes" not in songlo.err
    stream.start()
    send(stream, after)
    stream.drain()
    assert stream.totals() == totals(message(e) for e in [*before, *after])
    assert ask(stream.server, "SELECT DISTINCT verdict FROM conservation") == [("exact if no repeats",)]


def test_strays_that_are_to_count_where_they_are(
    stream: River, songlo: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting holds from the rehoming on, and is told by the verdict; and back again."""
    events = [made(600, seed) for seed in range(3)]
    for number, (strays, verdict) in enumerate((("forward", "exact"), ("count", "exact if no repeats"))):
        worker = stream.start(strays=strays)
        # once each, by a client that knows no homes
        keyed = [(str(e["camera_id"]).encode(), message(e)) for e in events[number]]
        by_confluent(stream.stack.brokers, stream.name, keyed)
        stream.drain()
        stop(worker)
        sent = [e for part in events[: number + 1] for e in part]
        assert stream.totals() == totals(message(e) for e in sent)
        assert ask(stream.server, "SELECT DISTINCT verdict FROM conservation") == [(verdict,)]
        monkeypatch.setenv("SONGLO_STRAYS", "forward" if number else "count")
        assert songlo("topics", "--rehome", "--json") == 0
        assert json.loads(songlo.out)[0]["rehomed"]
    stream.start()
    send(stream, events[2])
    stream.drain()
    assert stream.totals() == totals(message(e) for part in events for e in part)


def test_a_gap_in_the_log_is_told_and_may_be_accepted(stream: River, songlo: Commands) -> None:
    """Where the beginning of open windows is gone, they stay as they are stored."""
    before, after = made(900, 1), made(900, 2)
    worker = stream.start()
    send(stream, before)
    stream.drain()
    stop(worker)
    cut(stream.stack.brokers, {(stream.name, p): end for p, end in stream.ends().items()})
    grow(stream.stack.brokers, stream.name, 5)
    assert songlo("topics", "--rehome") == 1
    assert "--accept-gap" in songlo.err
    assert songlo("topics", "--rehome", "--accept-gap") == 0
    assert "can't be told" in songlo.err
    stream.start()
    send(stream, after)
    stream.drain()
    exact(stream, before, after)
