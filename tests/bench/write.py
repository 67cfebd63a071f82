"""The write side alone, from the fold on: rows of a great city's open keys into ClickHouse."""

import os
import time
from collections.abc import Iterator
from typing import Any

from infra.settings.environment import load_settings
from sinks.store import ClickHouseSink
from streams.core.fold import Fold
from streams.core.pace import MONTH_S, pace, parts
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.engine import FoldEngine, choose_engine
from streams.spec import StreamSpec
from tests.bench.ground import Ground, Say
from tests.bench.load import MINUTE_MS, T0_MS, message
from tests.bench.processes import usage
from tests.bench.songlo import Target, create_database, drop_database, query, spec_for
from tests.support.events import packed

TOPIC = "bench.write"
PARTITIONS = 6
# what waits at most for one flush: the worker's own bound of 64 MB is about so many rows
ROWS_PER_FLUSH = 120_000
FLUSH_SECONDS, LONGEST_SECONDS = 1.0, 10.0
PARTS_BOUND = 300
BUNDLE, NEVER_LATE_MS = 100, 20 * 366 * 86_400_000


def measure(seconds: int, keys: int, months: int, ground: Ground, say: Say) -> dict[str, Any]:
    """Write as much as goes, flush after flush, at the pace of a worker.

    Each flush has rows of so many months, as when old events are read in any order. Taking the rows out of
    the fold counts, folding them does not.
    """
    target = Target(ground.brokers, TOPIC, ground.clickhouse, ground.clickhouse_http, "bench_write")
    drop_database(target)
    create_database(target)
    sink, spec = ClickHouseSink(target.native), spec_for(TOPIC)
    settings = load_settings(os.environ)
    fold, _ = choose_engine(settings.fold, settings.library_folder, [spec])
    engine, rows, flushes, most_parts, writing, cpu = ground.pids["clickhouse"], 0, 0, 0, 0.0, 0.0
    engine_before = usage(engine).cpu_seconds
    say(f"writing for {seconds} s …")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        states = _folded(flushes, keys, months, fold, spec)
        began, before = time.monotonic(), time.process_time()
        changes = [found for state in states if (found := state.capture())]
        sink.put_rows(spec, changes)
        sink.put_progress(spec, changes)
        cpu += time.process_time() - before
        took = time.monotonic() - began
        writing, rows, flushes = writing + took, rows + sum(len(c.rows) for c in changes), flushes + 1
        most_parts = max(most_parts, _parts(target, spec.table))
        next_one = pace(FLUSH_SECONDS, LONGEST_SECONDS, took, parts(changes))
        time.sleep(max(0.0, next_one.usual_s - took))
    engine_spent = usage(engine).cpu_seconds - engine_before
    sink.close()
    drop_database(target)
    return {
        "keys": keys,
        "months": months,
        "rows": rows,
        "flushes": flushes,
        "rows_per_s_while_writing": round(rows / writing),
        "worker_cpu_us_per_row": round(cpu * 1e6 / rows, 3),
        "clickhouse_cpu_us_per_row": round(engine_spent * 1e6 / rows, 3),
        "most_parts": most_parts,
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    size = f"{found['rows']:,} rows of {found['keys']:,} keys"
    yield f"{size} in {found['flushes']} flushes, each of {found['months']} months"
    yield f"rows/s while writing    {found['rows_per_s_while_writing']:>12,}"
    yield f"worker's CPU per row    {found['worker_cpu_us_per_row']:>12.2f} µs"
    yield f"ClickHouse's CPU per row{found['clickhouse_cpu_us_per_row']:>12.2f} µs, merges included"
    yield f"most active parts       {found['most_parts']:>12} (meant: under {PARTS_BOUND})"


def _folded(flush: int, keys: int, months: int, engine: FoldEngine, spec: StreamSpec) -> list[Fold]:
    """What one flush has to write: the next rows of a minute that all keys are in, an event in each."""
    states = []
    for partition in range(PARTITIONS):
        per = ROWS_PER_FLUSH // PARTITIONS
        first = flush * ROWS_PER_FLUSH + partition * per
        at = Progress(spec.name, spec.topic, partition, next_offset=first, replay_from=first)
        state = engine.new_fold(spec, Rules(disorder_ms=NEVER_LATE_MS), at)
        for offset in range(first, first + per, BUNDLE):
            events = [_event(n, keys, months) for n in range(offset, offset + BUNDLE)]
            append_ms = T0_MS + (offset // keys + 2) * MINUTE_MS
            state.fold(packed(offset, offset + BUNDLE, append_ms, [b"[%b]" % b",".join(events)], [offset]))
        states.append(state)
    return states


def _event(number: int, keys: int, months: int) -> bytes:
    minute, key = divmod(number, keys)
    at_ms = T0_MS + minute * MINUTE_MS - number % months * MONTH_S * 1000
    return message(number, (key, at_ms, 200 + number % 400, 90))


def _parts(target: Target, table: str) -> int:
    sql = f"SELECT count() AS n FROM system.parts WHERE active AND database = '{target.database}'"  # noqa: S608  # our own names
    return int(query(target, f"{sql} AND table = '{table}'")[0]["n"])
