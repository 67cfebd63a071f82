"""Kafka record batches as bytes, as a broker sends them: for tests of what unpacks them."""

import struct
from collections.abc import Iterable, Sequence

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from streams.core.framing import unpack
from streams.core.limits import Limits
from streams.core.values import PackedBatches, RecordBatch
from streams.worker.client.decompress import UNPACK_BYTES, opened
from streams.worker.values import Fetched

BASE_OFFSET, ATTRIBUTES_AT, CRC_AT, LAST_DELTA_AT, MAX_TIMESTAMP_AT = 0, 21, 17, 23, 35
LOG_APPEND_TIME, CONTROL = 0x08, 0x20
COMMIT, ABORT = 1, 0


def record_batch(
    base: int,
    values: Sequence[bytes | None],
    *,
    append_ms: int = 1_700_000_000_000,
    compression: int = 0,
    producer: int = -1,
    transactional: bool = False,
    control: bool = False,
    deltas: Sequence[int] | None = None,
    last_delta: int | None = None,
    keys: Sequence[bytes | None] | None = None,
) -> bytes:
    """One batch of format 2; `deltas` are the offsets that compaction has left, from `base`."""
    places = list(deltas) if deltas is not None else list(range(len(values)))
    builder = DefaultRecordBatchBuilder(2, compression, transactional, producer, 0, 0, 1 << 24)
    for i, (delta, value) in enumerate(zip(places, values, strict=True)):
        builder.append(delta, append_ms - 5, keys[i] if keys else b"key", value, [])
    raw = bytearray(builder.build())
    attributes = (
        struct.unpack_from(">h", raw, ATTRIBUTES_AT)[0] | LOG_APPEND_TIME | (CONTROL if control else 0)
    )
    struct.pack_into(">q", raw, BASE_OFFSET, base)
    struct.pack_into(">h", raw, ATTRIBUTES_AT, attributes)
    struct.pack_into(">q", raw, MAX_TIMESTAMP_AT, append_ms)
    if last_delta is not None:
        struct.pack_into(">i", raw, LAST_DELTA_AT, last_delta)
    struct.pack_into(">I", raw, CRC_AT, calc_crc32c(bytes(raw[ATTRIBUTES_AT:])))
    return bytes(raw)


def marker(base: int, producer: int, kind: int) -> bytes:
    """The control batch with which a transaction ends: COMMIT or ABORT."""
    key, value = struct.pack(">hh", 0, kind), struct.pack(">hi", 0, 0)
    return record_batch(base, [value], producer=producer, transactional=True, control=True, keys=[key])


def messages(fetched: Iterable[Fetched], start: int = 0) -> list[tuple[int, bytes | None]]:
    """(offset, value) of all messages from `start` on; what can't be read fails the test."""
    found = []
    for each in fetched:
        batch = opened(each.batch, UNPACK_BYTES, 100)
        for piece in unpack(batch, Limits()) if isinstance(batch, PackedBatches) else [batch]:
            assert isinstance(piece, RecordBatch), piece
            offsets = range(piece.base_offset, piece.next_offset) if piece.offsets is None else piece.offsets
            found += zip(offsets, piece.values, strict=True)
    return [(offset, value) for offset, value in found if offset >= start]
