"""Record batches come out whole, and every duty of aiokafka's own unpacking is kept."""

import random

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition

from streams.core.values import CompressedBatch, PackedBatches
from streams.worker.client.record_batches import WholeRecords
from streams.worker.client.unpack import BatchRecords
from streams.worker.values import Fetched
from tests.support.batches import ABORT, COMMIT, marker, messages, record_batch

TP = TopicPartition("camera.events", 3)
APPEND_MS = 1_700_000_000_000


def unpacked(data: bytes, start: int = 0, aborted: list[tuple[int, int]] | None = None) -> list[Fetched]:
    """What comes out of one fetch at `start`."""
    return list(records(data, start, aborted))


def records(data: bytes, start: int = 0, aborted: list[tuple[int, int]] | None = None) -> BatchRecords:
    """The records of one fetch at `start`, read committed."""
    return BatchRecords(TP, WholeRecords(data), aborted, start)


def test_a_batch_comes_out_as_it_stands() -> None:
    """Two batches of three and two messages are two objects with their own bytes; one stays compressed."""
    first = record_batch(10, [b"a", b"b", None])
    second = record_batch(13, [b"d", b"e"], append_ms=APPEND_MS + 7, compression=1)
    assert unpacked(first + second, 10) == [
        Fetched(10, PackedBatches(10, 13, first, 0, len(first))),
        Fetched(13, CompressedBatch(13, 15, APPEND_MS + 7, 1, 2, second)),
    ]


def test_a_fetch_may_start_in_the_middle_of_a_batch() -> None:
    """The batch is whole, and the chain begins where the fetch does: the fold takes what it has not."""
    [fetched] = unpacked(record_batch(10, [b"a", b"b", b"c", b"d"]), 12)
    assert (fetched.start, fetched.batch.base_offset, fetched.batch.next_offset) == (12, 10, 14)
    assert messages([fetched], 12) == [(12, b"c"), (13, b"d")]


def test_a_batch_that_ends_before_the_position_is_skipped() -> None:
    """A broker may send the batch before the one that was asked for."""
    data = record_batch(0, [b"a", b"b"]) + record_batch(2, [b"c"])
    assert [f.batch.base_offset for f in unpacked(data, 2)] == [2]


def test_offsets_are_explicit_where_compaction_left_gaps() -> None:
    """Offsets 10, 13 and 14 of a batch that spans 10 to 16."""
    data = record_batch(10, [b"a", b"d", b"e"], deltas=[0, 3, 4], last_delta=6)
    [fetched] = unpacked(data, 10)
    assert messages([fetched]) == [(10, b"a"), (13, b"d"), (14, b"e")]
    assert fetched.batch.next_offset == 17


def test_a_sparse_batch_may_be_entered_in_its_middle() -> None:
    """From offset 12 on, only 13 and 14 are left."""
    data = record_batch(10, [b"a", b"d", b"e"], deltas=[0, 3, 4], last_delta=6)
    assert messages(unpacked(data, 12), 12) == [(13, b"d"), (14, b"e")]


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4], ids=["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read(compression: int) -> None:
    """Producers choose; the pinned dependencies cover all of Kafka's codecs."""
    values = [b"x" * 100 + str(i).encode() for i in range(50)]
    fetched = unpacked(record_batch(5, values, compression=compression), 5)
    assert messages(fetched) == list(enumerate(values, 5))


def test_a_wrong_checksum_is_refused() -> None:
    """One flipped bit in the last message."""
    data = bytearray(record_batch(0, [b"a", b"bbbb"]))
    data[-2] ^= 1
    with pytest.raises(CorruptRecordException, match=r"camera\.events"):
        unpacked(bytes(data))


def test_batches_before_a_damaged_one_count_once() -> None:
    """The position stands before the damaged batch, so that it is fetched again and nothing else."""
    damaged = bytearray(record_batch(2, [b"c"]))
    damaged[-2] ^= 1
    fetch = records(record_batch(0, [b"a", b"b"]) + bytes(damaged))
    assert next(fetch).batch.next_offset == 2
    with pytest.raises(CorruptRecordException):
        next(fetch)
    assert fetch.next_fetch_offset == 2


def test_aborted_transactions_are_hidden_and_passed() -> None:
    """
    offset   0 1      2 3          4        5        6
    batch    tx 7     tx 8         abort 7  commit 8 plain
    seen     -        values       -        -        value
    """
    data = (
        record_batch(0, [b"no", b"no"], producer=7, transactional=True)
        + record_batch(2, [b"yes", b"yes"], producer=8, transactional=True)
        + marker(4, 7, ABORT)
        + marker(5, 8, COMMIT)
        + record_batch(6, [b"plain"])
    )
    fetched = unpacked(data, 0, aborted=[(7, 0)])
    assert messages(fetched) == [(2, b"yes"), (3, b"yes"), (6, b"plain")]
    assert [f.batch.next_offset for f in fetched] == [2, 4, 5, 6, 7]


def test_a_producer_is_visible_again_after_its_abort() -> None:
    """The same producer aborts one transaction and commits the next."""
    data = (
        record_batch(0, [b"no"], producer=7, transactional=True)
        + marker(1, 7, ABORT)
        + record_batch(2, [b"yes"], producer=7, transactional=True)
        + marker(3, 7, COMMIT)
    )
    assert messages(unpacked(data, 0, aborted=[(7, 0)])) == [(2, b"yes")]


def test_the_chain_of_starts_has_no_hole() -> None:
    """Each batch starts where the one before it ended, whatever lies between them in the log."""
    data = record_batch(3, [b"a"]) + record_batch(9, [b"b", b"c"]) + marker(20, 7, COMMIT)
    fetched = unpacked(data, 1)
    assert [(f.start, f.batch.next_offset) for f in fetched] == [(1, 4), (4, 11), (11, 21)]


def test_the_position_of_the_next_fetch_moves_before_a_batch_is_handed_out() -> None:
    """aiokafka reads it as soon as it has taken enough."""
    fetch = records(record_batch(0, [b"a", b"b"]) + record_batch(2, [b"c"]))
    seen = [(f.batch.next_offset, fetch.next_fetch_offset) for f in fetch]
    assert seen == [(2, 2), (3, 3)]


def random_log(rng: random.Random) -> tuple[list[tuple[int, bytes]], list[tuple[int, int]]]:
    """Batches with the offset after each, and the aborted transactions (producer, first offset)."""
    batches: list[tuple[int, bytes]] = []
    aborted, offset = [], 0
    for _ in range(12):
        offset += rng.choice([0, 0, 0, 4])
        kind = rng.choice(["plain", "sparse", "aborted", "committed"])
        values = [bytes([65 + i]) for i in range(rng.randint(1, 6))]
        if kind == "sparse":
            deltas = sorted(rng.sample(range(12), len(values)))
            batches.append((offset + 13, record_batch(offset, values, deltas=deltas, last_delta=12)))
            offset += 13
            continue
        producer, end = rng.choice([7, 8]), offset + len(values)
        batches.append((end, record_batch(offset, values, producer=producer, transactional=kind != "plain")))
        if kind == "aborted":
            aborted.append((producer, offset))
        if kind != "plain":
            batches.append((end + 1, marker(end, producer, ABORT if kind == "aborted" else COMMIT)))
        offset = batches[-1][0]
    return batches, aborted
