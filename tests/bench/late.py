"""Late events, from the fold on: told apart from their repeats, and stored."""

import os
import time
from array import array
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from infra.settings.environment import load_settings
from sinks.store import ClickHouseSink
from streams.core.fold import Fold
from streams.core.late_duplicates import LateDeduplicator
from streams.core.pane import id_hash
from streams.core.rules import Rules
from streams.core.values import ClosedPane, PackedBatches, Progress
from streams.engine import choose_engine
from streams.spec import StreamSpec
from streams.worker.flush.steps import drop_late_duplicates, go_through, progress_steps, row_steps
from tests.bench.ground import Ground, Say
from tests.bench.load import MINUTE_MS, T0_MS, Reading, message
from tests.bench.processes import usage
from tests.bench.songlo import Target, create_database, drop_database, spec_for
from tests.support.events import packed

TOPIC = "bench.late"
PARTITIONS, WINDOWS, CAMERAS = 6, 300, 436
# ids known of each window of a partition, and those of them that come again
ON_TIME, AGAIN = 2000, 200
BATCH, EVENTS_PER_FLUSH = 100, 60_000
NOW_MS = T0_MS + 30 * 86_400_000


def measure(events: int, ground: Ground, say: Say) -> dict[str, Any]:
    """Fold so many late events of old windows, half of them repeats, and flush them as a worker does.

    Half of the repeats are of events on time, the others of late ones. All that a worker does once it has
    fetched them counts.
    """
    target = Target(ground.brokers, TOPIC, ground.clickhouse, ground.clickhouse_http, "bench_late")
    drop_database(target)
    create_database(target)
    sink, spec, engine = ClickHouseSink(target.native), spec_for(TOPIC), ground.pids["clickhouse"]
    states = [_state(spec, partition) for partition in range(PARTITIONS)]
    _put_ids(sink, spec)
    settlers = [LateDeduplicator() for _ in states]
    logs = [_log(events // PARTITIONS, partition) for partition in range(PARTITIONS)]
    say(f"folding and flushing {events:,} late events …")
    flushes, spent, took, engine_before = 0, 0.0, 0.0, usage(engine).cpu_seconds
    late: dict[int, int] = {}
    for batches in zip(*logs, strict=True):
        began, before = time.monotonic(), time.process_time()
        for state, of_partition in zip(states, batches, strict=True):
            for each in of_partition:
                state.fold(each)
        captured = [
            (settler, changes)
            for settler, state in zip(settlers, states, strict=True)
            if (changes := state.capture())
        ]
        settled = drop_late_duplicates(sink, captured)
        for written in (row_steps, progress_steps):
            go_through(partial(written, sink, spec, settled), lambda _: None)
        spent, took, flushes = (
            spent + time.process_time() - before,
            took + time.monotonic() - began,
            flushes + 1,
        )
        late |= {c.progress.partition: c.progress.late for c in settled}
    engine_spent = usage(engine).cpu_seconds - engine_before
    sink.close()
    drop_database(target)
    return {
        "events": events,
        "new": sum(late.values()),
        "windows": WINDOWS,
        "flushes": flushes,
        "worker_cpu_us_per_event": round(spent * 1e6 / events, 3),
        "clickhouse_cpu_us_per_event": round(engine_spent * 1e6 / events, 3),
        "events_per_s": round(events / took),
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"{found['events']:,} late events of {found['windows']} windows, in {found['flushes']} flushes"
    yield f"new, the others repeats {found['new']:>12,}"
    yield f"events/s                {found['events_per_s']:>12,}"
    yield f"worker's CPU per event  {found['worker_cpu_us_per_event']:>12.2f} µs, from the fold on"
    yield f"ClickHouse's CPU        {found['clickhouse_cpu_us_per_event']:>12.2f} µs, merges included"


def _state(spec: StreamSpec, partition: int) -> Fold:
    """A fold that has seen one event of now: those of the windows are late."""
    settings = load_settings(os.environ)
    engine, _ = choose_engine(settings.fold, settings.library_folder, [spec])
    state = engine.new_fold(spec, Rules(disorder_ms=MINUTE_MS), Progress(spec.name, TOPIC, partition))
    state.fold(packed(0, 1, NOW_MS, [message(0, (0, NOW_MS, 200, 90))]))
    return state


def _put_ids(sink: ClickHouseSink, spec: StreamSpec) -> None:
    """What would be known of the windows, had a worker closed them."""
    bits = Random(7).getrandbits  # noqa: S311  # no secrets
    for partition in range(PARTITIONS):
        closed = []
        for window in range(WINDOWS):
            again = (_on_time(partition, window, n) for n in range(AGAIN))
            ids = {id_hash(_id_of(message(*event))) for event in again}
            ids |= {bits(64) | 1 for _ in range(ON_TIME - AGAIN)}
            closed.append(ClosedPane(T0_MS + window * MINUTE_MS, array("Q", sorted(ids))))
        changes = _state(spec, partition).capture()
        if changes is not None:
            sink.put_ids(spec, [replace(changes, closed=closed)])


def _id_of(value: bytes) -> str:
    return value.split(b'"', 4)[3].decode()


def _on_time(partition: int, window: int, number: int) -> tuple[int, Reading]:
    """The number and the reading of an event that came on time."""
    number += AGAIN * (window + WINDOWS * partition)
    return 9_000_000_000 + number, (number % CAMERAS, T0_MS + window * MINUTE_MS + number % 60_000, 200, 90)


def _log(events: int, partition: int) -> Iterator[list[PackedBatches]]:
    """What a partition folds before each flush."""
    rng, seen, offset = Random(partition), list[tuple[int, Reading]](), 1  # noqa: S311  # no secrets
    per_flush = EVENTS_PER_FLUSH // PARTITIONS
    for first in range(0, events, per_flush):
        flush = []
        for at in range(first, min(first + per_flush, events), BATCH):
            values = []
            for n in range(at, min(at + BATCH, first + per_flush, events)):
                if n % 4 == 1:
                    event = rng.choice(seen)
                elif n % 4 == 3:
                    event = _on_time(partition, rng.randrange(WINDOWS), rng.randrange(AGAIN))
                else:
                    at_ms = T0_MS + rng.randrange(WINDOWS * MINUTE_MS)
                    event = (
                        n * PARTITIONS + partition,
                        (rng.randrange(CAMERAS), at_ms, rng.randrange(900), 90),
                    )
                    seen.append(event)
                values.append(message(*event))
            flush.append(packed(offset, offset + len(values), NOW_MS, values))
            offset += len(values)
        yield flush
