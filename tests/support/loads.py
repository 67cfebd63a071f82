"""What a worker's memory must bear: `python -m tests.support.loads LOAD ENGINE` folds it and tells its peak.

The real fold, room and packing, with a sink that takes nothing: what was captured stays under way until
as much waits again that folding stops. Figures in bytes, as JSON.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import orjson

from infra.settings.environment import load_settings
from sinks.memory import MemorySink
from sinks.packed import inserts, packed_blocks
from streams.core.values import CompressedBatch, PackedBatches
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.config import WorkerConfig
from streams.worker.failpoints import pass_by
from streams.worker.flush.steps import drop_late_duplicates
from streams.worker.partitions import Captured
from streams.worker.process.allocator import keep_memory
from streams.worker.runtime import Runtime
from streams.worker.values import Fetched
from tests.chaos.raw import NONE, ZSTD, batch, record
from tests.support.events import T0_MS, camera_event

MB = 1 << 20
P0 = ("camera.events", 0)
# 2000-01-01 from the test's zero hour, and an append time beyond all events
FROM_2000_S, FAR_MS = (946_684_800_000 - T0_MS) // 1000, 4_000_000_000_000
ROUNDS = 3
PENDING_BYTES = UNPACK_BYTES = 16 * MB
WIDE = "😀" * 48

# keys and values of the messages of one batch
Messages = Sequence[tuple[bytes, bytes]]


def event(number: int, at_s: float, **fields: object) -> dict[str, object]:
    """An event of its own id."""
    return camera_event(f"e{number}", at_s, **fields)


def wide(number: int, at_s: float) -> dict[str, object]:
    """An event of which each text is as long as it may be, and new."""
    names = ("camera_id", "ward_code", "object_class", "violation_code")
    return camera_event(
        f"{number:015d}{WIDE}", at_s, **{name: f"{name[0]}{number:014d}{WIDE}" for name in names}
    )


def bundles(make: Callable[[int], dict[str, object]], events: int, messages: int = 1) -> Iterator[Messages]:
    """Batches of messages of so many events each."""
    for first in count(0, events * messages):
        yield [
            (b"k%d" % start, orjson.dumps([make(n) for n in range(start, start + events)]))
            for start in range(first, first + events * messages, events)
        ]


def garbage(events: int, messages: int) -> Iterator[Messages]:
    """Bundles of nothing but zeros, each of a source of its own."""
    value = b"[" + b",".join([b"0"] * events) + b"]"
    for first in count(0, messages):
        yield [(b"g%d" % n, value) for n in range(first, first + messages)]


def letters() -> Iterator[Messages]:
    """A megabyte of no JSON in each message."""
    for first in count(0, 7):
        yield [(b"l%d" % n, b"%d" % n + b"x" * MB) for n in range(first, first + 7)]


def late() -> Iterator[Messages]:
    """Behind one event of the present, events of closed windows."""
    yield [(b"now", orjson.dumps(event(0, 10**8)))]
    yield from bundles(lambda n: wide(n, -60 * (n % 5000)), 500, 4)


@dataclass(frozen=True, slots=True)
class Load:
    """The batches, how they are compressed, and how many of them come in one poll."""

    batches: Callable[[], Iterator[Messages]]
    codec: int = NONE
    poll: int = 1


LOADS = {
    "bundles of 8 MB": Load(lambda: bundles(lambda n: wide(n, 5), 6500)),
    "a million windows": Load(lambda: bundles(lambda n: event(n, FROM_2000_S + 60 * n), 10_000)),
    "a million keys": Load(lambda: bundles(lambda n: event(n, 5, camera_id=f"c{n}"), 1000, 4), poll=4),
    "long ids": Load(lambda: bundles(lambda n: wide(n, 5 + 60 * (n // 50_000)), 100, 10), poll=2),
    "compressed": Load(lambda: bundles(lambda n: event(n, n // 100, camera_id=f"c{n}"), 1000, 30), ZSTD, 2),
    "compressed garbage": Load(lambda: garbage(10_000, 200), ZSTD, 2),
    "compressed nulls": Load(lambda: (([(b"", b"")] * 300_000) for _ in count()), ZSTD, 2),
    "dead letters of 1 MB": Load(letters, poll=2),
    "garbage": Load(lambda: garbage(10_000, 25), poll=6),
    "late events": Load(late),
}
ALL = "all of these"


def polls(name: str) -> Iterator[list[Fetched]]:
    """The polls of a load, made as they are asked for."""
    chosen = [LOADS[name]] if name != ALL else [*LOADS.values()]
    sources = [(load, load.batches()) for load in chosen]
    at = 1
    for load, source in chain.from_iterable(sources for _ in count()):
        poll = list[Fetched]()
        for _ in range(load.poll):
            messages = next(source)
            records = [record(value, n, key=key) for n, (key, value) in enumerate(messages)]
            made = batch(records, base=at, codec=load.codec, append_ms=FAR_MS)
            poll.append(Fetched(at, as_fetched(made, at, len(records), load.codec)))
            at += len(records)
            del messages, records, made
        yield poll


def as_fetched(made: bytes, base: int, number: int, codec: int) -> PackedBatches | CompressedBatch:
    """A batch as it comes from the fetcher."""
    if codec == NONE:
        return PackedBatches(base, base + number, made, 0, len(made))
    return CompressedBatch(base, base + number, FAR_MS, codec, number, made)


class Figures:
    """What a run took, in bytes; `batches` counts what was folded."""

    def __init__(self) -> None:
        self.base = self.pending = self.open = self.flushes = 0

    def look(self, runtime: Runtime) -> None:
        """Note the most that was counted."""
        self.pending = max(self.pending, runtime.partitions.pending_bytes)
        self.open = max(self.open, runtime.partitions.open_bytes)


def memory(name: str) -> int:
    """Bytes of the process: VmRSS now, or VmHWM the most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))


async def fold(name: str, engine: str) -> Figures:
    """Fold a load until it was stopped by want of room in some rounds."""
    folder = load_settings({}).library_folder
    specs = [spec for spec in load_streams().values() if spec.topic == P0[0]]
    config = WorkerConfig(
        kafka=KafkaAccess.at("b:1"), fold=engine, library_folder=folder, pending_bytes=PENDING_BYTES,
        unpack_bytes=UNPACK_BYTES, breaker_percent=0,
    )  # fmt: skip
    runtime, figures = Runtime(config, specs, MemorySink(), pass_by), Figures()
    runtime.partitions.add(runtime.partitions.empty(P0))
    first = batch([record(orjson.dumps(event(0, 0)), 0)], append_ms=FAR_MS)
    await runtime.deliver(P0, [Fetched(0, PackedBatches(0, 1, first, 0, len(first)))])
    pack(runtime.partitions.capture())
    gc.collect()
    # from now on the most is counted anew
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    figures.base = memory("VmRSS")
    under_way: list[object] = []
    source = polls(name)
    for _ in range(ROUNDS):
        while not runtime.room.closed:
            poll = next(source)
            task = asyncio.ensure_future(runtime.deliver(P0, poll))
            del poll
            while not task.done() and not runtime.room.closed:
                await asyncio.sleep(0)
            figures.look(runtime)
        # the flush before has ended by now, and the next one has all that waits
        under_way.clear()
        captured = runtime.partitions.capture()
        under_way += [captured, pack(captured)]
        del captured
        figures.flushes += 1
        runtime.room.made()
        if not task.done():
            while not task.done() and not runtime.room.closed:
                await asyncio.sleep(0)
            figures.look(runtime)
    task.cancel()
    runtime.sink_thread.stop(1)
    return figures


def pack(captured: list[Captured]) -> object:
    """What an insert has in memory at once: the blocks of its rows."""
    settled = (
        drop_late_duplicates(MemorySink(), [(c.deduplicator, c.changes) for c in captured])
        if captured
        else []
    )
    return settled, [packed_blocks(group) for group in inserts(settled)]


def main(name: str, engine: str) -> None:
    """Fold it, and say what it took."""
    keep_memory()
    figures = asyncio.run(fold(name, engine))
    took = memory("VmHWM") - figures.base
    told = {"took": took, "pending": figures.pending, "open": figures.open, "flushes": figures.flushes}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
