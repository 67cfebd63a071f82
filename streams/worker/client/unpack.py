"""aiokafka's unpacking of a fetch, one object for many Kafka record batches instead of one per message.

aiokafka builds a ConsumerRecord of eleven fields for every message, two thirds of what its client costs.
Here batches stay whole and compressed, and for the compiled fold they stay together; the duties of the
original stay with them: the CRC, aborted transactions and control batches, a start in the middle of a batch,
and the position of the next fetch.
"""

from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from streams.core.records import MAGIC, framed
from streams.core.values import PackedBatches
from streams.engine import PLAIN, Engine
from streams.worker.client.decompress import UNPACK_BYTES
from streams.worker.client.whole import COMPRESSION, CONTROL, TRANSACTIONAL, WholeRecords
from streams.worker.values import Batch, Fetched


class BatchRecords(fetcher.PartitionRecords):  # type: ignore[misc] # aiokafka has no types here
    """The record batches of one fetch; iterating yields `Fetched`.

    Batches without messages for us (control, aborted, emptied by compaction) come out empty, so that the
    position moves past them. Raises CorruptRecordException when a CRC is wrong; the batch is fetched again.
    """

    next_fetch_offset: int
    # the topics that it has compiled get many batches at once
    engine = PLAIN
    unpack_bytes = UNPACK_BYTES

    def _unpack_records(self) -> Iterator[Fetched]:
        while self._records.has_next():
            batches = self._next_run()
            for batch in self._next_batch() if batches is None else (batches,):
                if batch.next_offset > self.next_fetch_offset:
                    start, self.next_fetch_offset = self.next_fetch_offset, batch.next_offset
                    yield Fetched(start, batch)

    def _next_run(self) -> PackedBatches | None:
        """The next batches, as long as they need nothing but folding."""
        library = self.engine.library
        if library is None or self._tp.topic not in self.engine.compiled:
            return None
        aborted = self._aborted_transactions or self._aborted_producers
        stops = COMPRESSION | CONTROL | (TRANSACTIONAL if aborted else 0)
        found: PackedBatches | None = self._records.next_run(library.run, stops)
        return found

    def _next_batch(self) -> Iterator[Batch]:
        raw = self._records.next_batch()
        if self._check_crcs and not raw.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        visible = not self._is_aborted(raw) and not raw.is_control_batch
        return unpack(raw, self.next_fetch_offset, self.unpack_bytes, visible=visible)

    def _is_aborted(self, raw: Any) -> bool:
        if self._isolation_level != fetcher.READ_COMMITTED or raw.producer_id is None:
            return False
        self._consume_aborted_up_to(raw.base_offset)
        if raw.is_control_batch and self._contains_abort_marker(raw):
            # not `remove`: Kafka may send an abort marker for a partition that is otherwise empty
            self._aborted_producers.discard(raw.producer_id)
        return raw.is_transactional and raw.producer_id in self._aborted_producers


def unpack(raw: Any, wanted: int, unpack_bytes: int, *, visible: bool = True) -> Iterator[Batch]:
    """The messages of a raw batch from the offset `wanted` on; nothing when it ends before."""
    if raw.next_offset <= wanted:
        return
    if raw.magic < MAGIC:
        yield from raw.messages(wanted, unpack_bytes)
    elif visible:
        yield raw.batch()
    else:
        yield framed(raw.base_offset, raw.next_offset, raw.max_timestamp, 0, b"")


def install(target: Any, engine: Engine = PLAIN, unpack_bytes: int = UNPACK_BYTES) -> None:
    """Make one fetcher of aiokafka unpack by batches; others in the process keep their own way.

    `_proc_fetch_request` finds the classes by global names, so the fetcher gets its own copy of that method
    whose globals name ours instead.
    """
    original = fetcher.Fetcher._proc_fetch_request  # noqa: SLF001 - aiokafka has no setting for it
    ours = type("EngineRecords", (BatchRecords,), {"engine": engine, "unpack_bytes": unpack_bytes})
    names = {**original.__globals__, "PartitionRecords": ours, "MemoryRecords": WholeRecords}
    copy = FunctionType(
        original.__code__, names, original.__name__, original.__defaults__, original.__closure__
    )
    copy.__kwdefaults__ = original.__kwdefaults__
    target._proc_fetch_request = MethodType(copy, target)  # noqa: SLF001 - as above
