"""aiokafka's unpacking of a fetch, one object for many Kafka record batches instead of one per message.

aiokafka builds a ConsumerRecord of eleven fields for every message, two thirds of what its client costs.
Here batches stay whole, and for the compiled fold they stay together; the duties of the original stay with
them: the CRC, aborted transactions and control batches, a start in the middle of a batch, and the position of
the next fetch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from streams.core.values import PackedBatches, RecordBatch
from streams.delivery.whole import COMPRESSION, CONTROL, TRANSACTIONAL, WholeBatch, WholeRecords
from streams.engine import PLAIN, Engine


@dataclass(frozen=True, slots=True)
class Fetched:
    """A record batch, or several, and the position that they were read from.

    Batches of a partition form a chain: each starts where the one before it ended. A hole in the log
    does not break the chain; a batch that was lost on its way does.
    """

    start: int
    batch: RecordBatch | PackedBatches


class BatchRecords(fetcher.PartitionRecords):  # type: ignore[misc] # aiokafka has no types here
    """The record batches of one fetch; iterating yields `Fetched`.

    Batches without messages for us (control, aborted, emptied by compaction) come out empty, so that the
    position moves past them. Raises CorruptRecordException when a CRC is wrong; the batch is fetched again.
    """

    next_fetch_offset: int
    # the topics that it has compiled get their batches as they stand in the log
    engine = PLAIN

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
        if library is None or not self._is_compiled:
            return None
        aborted = self._aborted_transactions or self._aborted_producers
        stops = COMPRESSION | CONTROL | (TRANSACTIONAL if aborted else 0)
        found: PackedBatches | None = self._records.next_run(library.run, stops)
        return found

    @property
    def _is_compiled(self) -> bool:
        return self._tp.topic in self.engine.compiled

    def _next_batch(self) -> Iterator[RecordBatch | PackedBatches]:
        raw = self._records.next_batch()
        if self._check_crcs and not raw.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        visible = not self._is_aborted(raw) and not raw.is_control_batch
        if isinstance(raw, WholeBatch) and not self._is_compiled:
            raw = raw.listed()
        return unpack(raw, self.next_fetch_offset, visible=visible)

    def _is_aborted(self, raw: Any) -> bool:
        if self._isolation_level != fetcher.READ_COMMITTED or raw.producer_id is None:
            return False
        self._consume_aborted_up_to(raw.base_offset)
        if raw.is_control_batch and self._contains_abort_marker(raw):
            # not `remove`: Kafka may send an abort marker for a partition that is otherwise empty
            self._aborted_producers.discard(raw.producer_id)
        return raw.is_transactional and raw.producer_id in self._aborted_producers


def unpack(raw: Any, wanted: int, *, visible: bool = True) -> Iterator[RecordBatch | PackedBatches]:
    """The messages of a raw batch from the offset `wanted` on; nothing when it ends before."""
    if raw.next_offset <= wanted:
        return
    if raw.magic < 2:
        yield from _unpack_legacy(raw, wanted)
    elif not visible:
        yield RecordBatch(raw.base_offset, raw.next_offset, raw.max_timestamp, (), ())
    elif isinstance(raw, WholeBatch):
        yield raw.packed()
    else:
        yield _unpack_default(raw, wanted)


def _unpack_default(raw: Any, wanted: int) -> RecordBatch:
    base, end, append_ms = raw.base_offset, raw.next_offset, raw.max_timestamp
    messages = list(raw)
    # offsets ascend within a batch, so as many messages as offsets means that none is missing
    if len(messages) == raw.last_offset_delta + 1:
        skip = max(0, wanted - base)
        kept = messages[skip:]
        return RecordBatch(base + skip, end, append_ms, [m.value for m in kept], None, [m.key for m in kept])
    kept = [m for m in messages if m.offset >= wanted]
    offsets, keys = [m.offset for m in kept], [m.key for m in kept]
    return RecordBatch(base, end, append_ms, [m.value for m in kept], offsets, keys)


def _unpack_legacy(raw: Any, wanted: int) -> Iterator[RecordBatch]:
    """Message formats 0 and 1: each message has a time of its own."""
    for record in raw:
        if record.offset >= wanted:
            yield RecordBatch(
                record.offset, record.offset + 1, record.timestamp, [record.value], None, [record.key]
            )


def install(target: Any, engine: Engine = PLAIN) -> None:
    """Make one fetcher of aiokafka unpack by batches; others in the process keep their own way.

    Batches of topics that the engine has compiled come as `PackedBatches`, of all others as `RecordBatch`.
    `_proc_fetch_request` finds the classes by global names, so the fetcher gets its own copy of that method
    whose globals name ours instead.
    """
    original = fetcher.Fetcher._proc_fetch_request  # noqa: SLF001 - aiokafka has no setting for it
    names = {**original.__globals__, "PartitionRecords": BatchRecords, "MemoryRecords": WholeRecords}
    if engine.compiled:
        names["PartitionRecords"] = type("EngineRecords", (BatchRecords,), {"engine": engine})
    copy = FunctionType(
        original.__code__, names, original.__name__, original.__defaults__, original.__closure__
    )
    copy.__kwdefaults__ = original.__kwdefaults__
    target._proc_fetch_request = MethodType(copy, target)  # noqa: SLF001 - as above
