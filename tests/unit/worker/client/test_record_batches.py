"""Batches that are handed over as they stand in the log hold the same messages as those taken apart."""

import random
from collections.abc import Callable

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from streams.core.values import PackedBatches
from streams.engine import FoldEngine
from streams.worker.client import record_batches as whole_records
from streams.worker.client.record_batches import WholeRecords
from streams.worker.client.unpack import BatchRecords
from tests.support.batches import ABORT, COMMIT, marker, messages, record_batch
from tests.support.engines import library
from tests.unit.worker.client.test_unpack import random_log, records

TP = TopicPartition("camera.events", 3)


def whole(data: bytes, start: int = 0, aborted: list[tuple[int, int]] | None = None) -> BatchRecords:
    """The records of one fetch at `start`, as they stand in the log."""
    return BatchRecords(TP, WholeRecords(data), aborted, start, FoldEngine(library(), frozenset({TP.topic})))


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4], ids=["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read(compression: int) -> None:
    """Producers choose; the pinned dependencies cover all of Kafka's codecs."""
    values = [b"x" * 100 + str(i).encode() for i in range(50)]
    data = record_batch(5, values, compression=compression)
    assert messages(whole(data)) == list(enumerate(values, 5))


@pytest.mark.parametrize("fetched", [records, whole], ids=["plain", "compiled"])
@pytest.mark.parametrize("seed", range(10))
def test_the_same_messages_as_aiokafka_from_any_offset(
    seed: int, fetched: Callable[..., BatchRecords]
) -> None:
    """On random logs with gaps, aborts and markers, at every start position."""
    batches, aborted = random_log(random.Random(seed))
    for start in range(batches[-1][0]):
        # a broker sends from the batch on that holds the position
        data = b"".join(raw for end, raw in batches if end > start)
        theirs = fetcher.PartitionRecords(
            TP, MemoryRecords(data), list(aborted), start, None, None, True, fetcher.READ_COMMITTED
        )
        expected = [(r.offset, r.value) for r in theirs]
        ours = fetched(data, start, list(aborted))
        assert messages(ours, start) == expected
        assert ours.next_fetch_offset == theirs.next_fetch_offset


def test_batches_that_need_nothing_but_folding_come_together() -> None:
    """
    offsets  0-1    2-4    5 (gzip)  6      7-8 (aborted)  9 abort  10
    handed   |---------|   |----|    |--|   |---------|    |---|    |--|
    """
    batches = [
        record_batch(0, [b"a", b"b"]),
        record_batch(2, [b"c"] * 3),
        record_batch(5, [b"d" * 99], compression=1),
        record_batch(6, [b"e"]),
        record_batch(7, [b"no", b"no"], producer=7, transactional=True),
        marker(9, 7, ABORT),
        record_batch(10, [b"f"]),
    ]
    found = [(f.start, f.batch.next_offset) for f in whole(b"".join(batches), 1, [(7, 7)])]
    assert found == [(1, 5), (5, 6), (6, 7), (7, 9), (9, 10), (10, 11)]
    assert messages(whole(b"".join(batches), 1, [(7, 7)]), 1) == [
        (1, b"b"), *((n, b"c") for n in (2, 3, 4)), (5, b"d" * 99), (6, b"e"), (10, b"f"),
    ]  # fmt: skip


def test_batches_are_handed_over_by_the_half_megabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a fold gives the worker's other duties their turn."""
    batches = [record_batch(n, [b"x" * 50]) for n in range(9)]
    monkeypatch.setattr(whole_records, "RUN_BYTES", 4 * len(batches[0]))
    assert [f.batch.next_offset for f in whole(b"".join(batches))] == [4, 8, 9]


def test_topics_that_are_folded_in_python_get_single_batches() -> None:
    """One fetcher serves streams of both engines."""
    data = record_batch(3, [b"a", b"b"]) + record_batch(5, [b"c"])
    fetch = [*BatchRecords(TP, WholeRecords(data), [], 3)]
    assert [f.batch.next_offset for f in fetch] == [5, 6]
    assert all(isinstance(f.batch, PackedBatches) for f in fetch)


def test_a_batch_cut_off_at_the_end_of_a_fetch_is_left_out() -> None:
    """A broker sends as many bytes as were asked for; wherever the cut is."""
    first, second = record_batch(0, [b"a", b"b"]), record_batch(2, [b"c"])
    for size in range(len(first), len(first) + len(second)):
        assert [v for _, v in messages(whole((first + second)[:size]))] == [b"a", b"b"]
    records = WholeRecords(first[:20])
    assert (records.has_next(), records.size_in_bytes()) == (False, 20)


def test_a_wrong_checksum_is_refused() -> None:
    """One flipped bit in the last message."""
    data = bytearray(record_batch(0, [b"a", b"bbbb"]))
    data[-2] ^= 1
    with pytest.raises(CorruptRecordException, match=r"camera\.events"):
        messages(whole(bytes(data)))


def test_a_batch_smaller_than_its_header_is_refused() -> None:
    """A length that leaves no room for the fields."""
    data = (0).to_bytes(8) + (20).to_bytes(4) + bytes(4) + b"\2" + bytes(15)
    with pytest.raises(CorruptRecordException, match="smaller than its header"):
        WholeRecords(data).next_batch()


@pytest.mark.parametrize("damaged", [0, 1, 2], ids=["first", "second", "third"])
@pytest.mark.parametrize("bit", [3, 20, 47, 63])
def test_a_damaged_offset_is_refused_before_anything_moves(damaged: int, bit: int) -> None:
    """No checksum covers it; a batch that claims a later place would make those behind it seem folded."""
    batches = [bytearray(record_batch(n, [b"x"])) for n in range(4)]
    offset = int.from_bytes(batches[damaged][:8]) ^ 1 << bit
    batches[damaged][:8] = offset.to_bytes(8)
    fetch = whole(b"".join(batches))
    with pytest.raises(CorruptRecordException):
        messages(fetch)
    assert fetch.next_fetch_offset <= damaged


@pytest.mark.parametrize("magic", [3, 127, 255])
def test_another_format_is_refused(magic: int) -> None:
    """Nor does a checksum cover the number of the format."""
    data = bytearray(record_batch(0, [b"x"]))
    data[16] = magic
    with pytest.raises(CorruptRecordException, match="no record batch of format 2 is at offset 0"):
        messages(whole(bytes(data)))


def test_markers_are_passed_over() -> None:
    """Control batches move the position and bring no messages."""
    data = (
        record_batch(0, [b"a"], producer=7, transactional=True) + marker(1, 7, COMMIT) + marker(2, 8, ABORT)
    )
    fetch = whole(data)
    assert messages(fetch) == [(0, b"a")]
    assert fetch.next_fetch_offset == 3
