"""What a fetch brings: any bytes give batches, or the one error that the client knows, within bounds."""

from collections.abc import Iterator
from dataclasses import dataclass

from aiokafka.errors import CorruptRecordException

from streams.core.values import PackedBatches, Unread
from streams.native.library import Library
from streams.worker.client.decompress import opened
from streams.worker.client.legacy import LegacyBatch
from streams.worker.client.record_batches import COMPRESSION, CONTROL, RUN_BYTES, WholeBatch, WholeRecords

STOPS = COMPRESSION | CONTROL
# of what is unpacked: low, so that it is met
MOST_BYTES, LETTER_BYTES = 4096, 100
# a header, and the byte by which a cut is met
SPARE = 62


def fetched(data: bytes) -> Iterator[PackedBatches | Unread]:
    """What the delivery hands to a fold, batch by batch, up to the first that is refused."""
    records = WholeRecords(data)
    while records.has_next():
        try:
            raw = records.next_batch()
            if not raw.validate_crc():
                return
        except CorruptRecordException:
            return
        if isinstance(raw, LegacyBatch):
            yield from raw.messages(0, MOST_BYTES)
        elif isinstance(raw, WholeBatch):
            batch = opened(raw.batch(), MOST_BYTES, LETTER_BYTES)
            if isinstance(batch, PackedBatches) and batch.cut_bytes and len(batch.data) > MOST_BYTES + SPARE:
                raise AssertionError(f"{len(batch.data)} bytes were unpacked, of {MOST_BYTES} at most")
            yield batch


@dataclass(frozen=True, slots=True)
class Run:
    """Batches that stand as they can be folded: where they end, and the offset behind them."""

    end: int
    next_offset: int


def run_of(data: bytes, library: Library) -> Run:
    """As the compiled fold finds it."""
    end, following = library.run(data, 0, RUN_BYTES, STOPS)
    return Run(end, following if end else 0)


def run_by_python(data: bytes) -> Run:
    """The same by the batches of `WholeRecords`, one by one."""
    records, end, following = WholeRecords(data), 0, 0
    while records.has_next():
        try:
            batch = records.next_batch()
            if not isinstance(batch, WholeBatch) or not batch.validate_crc():
                break
        except CorruptRecordException:
            break
        whole = batch.batch()
        if not isinstance(whole, PackedBatches):
            break
        end, following = end + len(whole.data), batch.next_offset
    return Run(end, following)
