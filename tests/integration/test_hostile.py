"""What a real broker takes from a hostile producer: workers of both engines go on, and nothing vanishes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kafka.reader import LogReader
from streams.kafka_access import KafkaAccess
from tests.chaos.log import read_log
from tests.chaos.raw import (
    COMPRESS,
    GZIP,
    LZ4,
    SNAPPY,
    ZSTD,
    append_batch,
    batch,
    bomb,
    header,
    longer,
    record,
)  # fmt: skip
from tests.support.clickhouse import ask
from tests.support.events import camera_event, message
from tests.support.waiting import eventually
from tests.support.workers import River, Stack, Worker, river

MB = 1 << 20


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic of one partition, a database, and no worker yet."""
    with river(stack, tmp_path, partitions=1) as made:
        yield made


def event(name: str) -> bytes:
    """An event of the log's first minute."""
    return message(camera_event(name, 5))


def ordinary(name: str) -> bytes:
    """A batch of two events."""
    return batch([record(event(f"{name}-{n}"), n) for n in range(2)])


# each with the events that it brings, and the dead letters
TRICKS = {
    "length": (batch([record(event("length"), 0, sized=lambda n: longer(n, 1))]), 1, 0),
    "delta": (batch([record(event("delta"), longer(0, 1))]), 1, 0),
    "value size": (batch([record(event("value size"), 0, value_sized=lambda n: longer(n, 2))]), 1, 0),
    "time": (batch([record(event("time"), 0, at=b"\x80" * 9 + b"\2")]), 1, 0),
    "header": (batch([record(event("header"), 0, headers=header(b"\xff", b"\xff"))]), 1, 0),
    "0, 7": (batch([record(event("a"), 0), record(event("lost"), 7)]), 1, 1),
    "-1, 0": (batch([record(event("lost"), -1), record(event("lost"), 0)]), 0, 1),
    "0, 2^31-1": (batch([record(event("b"), 0), record(event("lost"), 2**31 - 1)]), 1, 1),
    "0, 0": (batch([record(event("c"), 0), record(event("lost"), 0)]), 1, 1),
    "1, 0": (batch([record(event("lost"), 1), record(event("lost"), 0)]), 0, 1),
}


@pytest.mark.parametrize("fold", ["auto", "plain"])
def test_batches_that_no_client_writes(stream: River, fold: str) -> None:
    """Kafka has taken them all; what it reads counts, the rest of a batch is one dead letter."""
    want = {"events": 2, "dead": 0}
    append_batch(stream.stack.brokers, stream.name, 0, ordinary("first"))
    for name, (made, events, dead) in TRICKS.items():
        append_batch(stream.stack.brokers, stream.name, 0, made)
        append_batch(stream.stack.brokers, stream.name, 0, ordinary(name))
        want = {"events": want["events"] + events + 2, "dead": want["dead"] + dead}
    worker = stream.start(fold=fold)
    stream.drain()
    assert counted(stream) == want
    reasons = ask(stream.server, "SELECT reason, length(raw) FROM dead_letters ORDER BY offset")
    assert all("can't be read: no record at byte" in str(reason) and size for reason, size in reasons)
    alive(stream, worker, fold, want)


@pytest.mark.parametrize("fold", ["auto", "plain"])
def test_bombs_of_all_codecs(stream: River, fold: str) -> None:
    """
    Twenty bombs in a value, a key or a header, whose 1 to 2 MB unpack to 80 MB up to 1.5 GB, then a batch of
    which a part is beyond the bound. The worker holds little more than the bound twice.
    """
    dead = 0
    for codec, size in ((GZIP, 315 * MB), (SNAPPY, 15 * MB), (LZ4, 200 * MB), (ZSTD, 1570 * MB)):
        for where in ("value", "key", "header", "value", "value"):
            made = batch(bomb(codec, size, where=where), number=1, codec=codec)
            append_batch(stream.stack.brokers, stream.name, 0, made)
            dead += 1
    records = [record(event(f"part-{n}") + b" " * (4 * MB), n) for n in range(20)]
    append_batch(stream.stack.brokers, stream.name, 0, batch(records, codec=ZSTD))
    append_batch(stream.stack.brokers, stream.name, 0, ordinary("last"))
    worker = stream.start(fold=fold, poll_batches=100)
    stream.drain()
    # of the last, fifteen of four MB are whole within 64
    want = {"events": 15 + 2, "dead": dead + 5}
    assert counted(stream) == want
    assert peak_mb(worker) < 400
    alive(stream, worker, fold, want)


def test_commands_read_what_workers_count(stream: River) -> None:
    """A rebuild and the oracle of chaos take the same messages, and get past what can't be read."""
    for made, _, _ in TRICKS.values():
        append_batch(stream.stack.brokers, stream.name, 0, made)
    for codec, size in ((GZIP, 315 * MB), (ZSTD, 1570 * MB)):
        append_batch(stream.stack.brokers, stream.name, 0, batch(bomb(codec, size), number=1, codec=codec))
    (end,) = stream.ends().values()
    with LogReader(KafkaAccess.at(stream.stack.brokers)) as reader:
        read = [value for part in reader.read(stream.name, 0, 0, end) for value in part.values]
    assert read == [r.value for r in read_log(stream.stack.brokers, [stream.name])]
    assert len(read) == sum(events for _, events, _ in TRICKS.values())
    assert event("lost") not in read
    stream.start()
    stream.drain()
    assert counted(stream)["events"] == len(read)


def test_the_codecs_of_a_real_broker_are_read(stream: River) -> None:
    """As they come from the log."""
    for codec in COMPRESS:
        records = [record(event(f"{codec}-{n}"), n) for n in range(100)]
        append_batch(stream.stack.brokers, stream.name, 0, batch(records, codec=codec))
    stream.start()
    stream.drain()
    assert counted(stream) == {"events": 500, "dead": 0}
    assert stream.conserved()


def counted(stream: River) -> dict[str, int]:
    """Events of all kinds and dead letters, as the stored progress says and as the tables do."""
    [(events, dead)] = ask(
        stream.server, "SELECT sum(folded + duplicates + late), sum(dead) FROM stream_progress"
    )
    [(rows,)] = ask(stream.server, "SELECT count() FROM dead_letters FINAL")
    assert rows == dead
    return {"events": int(events), "dead": int(dead)}


def peak_mb(worker: Worker) -> int:
    """The most memory that the process has had."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) >> 10


def alive(stream: River, worker: Worker, fold: str, want: dict[str, int]) -> None:
    """The worker is the same, counts what comes now, and its successor finds no wall."""
    append_batch(stream.stack.brokers, stream.name, 0, ordinary("later"))
    stream.drain()
    want = {**want, "events": want["events"] + 2}
    assert counted(stream) == want
    assert worker.process.poll() is None
    worker.process.kill()
    worker.process.wait()
    stream.start(fold="plain" if fold == "auto" else "auto")
    append_batch(stream.stack.brokers, stream.name, 0, ordinary("successor"))
    stream.drain()
    eventually(lambda: counted(stream) == {**want, "events": want["events"] + 2}, 30)
