"""Message formats 0 and 1 hold the same messages as aiokafka reads, and nothing of them stops a worker."""

import gzip
from collections.abc import Sequence
from zlib import crc32

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.core.framing import unpack
from streams.core.limits import Limits
from streams.core.values import PackedBatches, Unread
from streams.worker.client.legacy import LegacyBatch

MB = 1 << 20
VALUES = [b"a" * 50, None, b"", b"d"]
KEYS = [b"k", None, b"", b"kkk"]


def legacy(magic: int, compression: int, values: Sequence[bytes | None] = VALUES) -> bytes:
    """One message, or these together."""
    builder = LegacyRecordBatchBuilder(magic, compression, 8 << 20)
    for i, value in enumerate(values):
        builder.append(i, 1_000 + i if magic else None, KEYS[i % 4], value)
    made = bytearray(builder.build())
    if compression:
        # as brokers count: the offset of the last one
        made[:8] = (len(values) - 1).to_bytes(8)
    return bytes(made)


def signed(data: bytes) -> bytes:
    """With the right checksum."""
    return data[:12] + crc32(data[16:]).to_bytes(4) + data[16:]


@pytest.mark.parametrize(("magic", "compression"), [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3)])
def test_the_same_messages_as_aiokafka(magic: int, compression: int) -> None:
    """Offsets, times, keys and values, from any offset on."""
    data = legacy(magic, compression, VALUES if compression else VALUES[:1])
    theirs = [(r.offset, r.timestamp or -1, r.key, r.value) for r in MemoryRecords(data).next_batch()]
    assert LegacyBatch(data).validate_crc()
    for wanted in range(5):
        found = [*LegacyBatch(data).messages(wanted, MB)]
        pieces = [
            piece for batch in found if isinstance(batch, PackedBatches) for piece in unpack(batch, Limits())
        ]
        assert len(pieces) == len(found)
        ours = [(p.base_offset, p.append_ms, p.keys[0], p.values[0]) for p in pieces]  # type: ignore[union-attr, index]
        assert ours == [message for message in theirs if message[0] >= wanted]


def test_a_bomb_is_unread() -> None:
    """As far as its bytes are kept; its place is the last offset."""
    data = legacy(1, 1, [b" " * MB] * 3)
    [unread] = LegacyBatch(data).messages(0, MB)
    assert isinstance(unread, Unread)
    assert (unread.base_offset, unread.next_offset, unread.raw) == (2, 3, data)
    assert "more than 1 MB" in unread.reason


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param((0).to_bytes(8) + (2**32 - 12).to_bytes(4) + bytes(30), id="a length of -12"),
        pytest.param(b"short", id="smaller than a header"),
        pytest.param(legacy(1, 0, [b"x"])[:-1], id="cut off"),
        pytest.param(legacy(1, 0, [b"x"]) * 2, id="the same offset twice"),
    ],
)
def test_what_is_broken_inside_ends(inner: bytes) -> None:
    """aiokafka's reading goes on for ever where a length leads back."""
    whole = legacy(1, 1)
    packed = gzip.compress(inner)
    size = 22 + 4 + 4 + len(packed)
    made = (
        whole[:8]
        + size.to_bytes(4)
        + whole[12:26]
        + (2**32 - 1).to_bytes(4)
        + len(packed).to_bytes(4)
        + packed
    )
    made = signed(made[:8] + (len(made) - 12).to_bytes(4) + made[12:])
    *_, last = LegacyBatch(made).messages(0, MB)
    assert isinstance(last, Unread)
