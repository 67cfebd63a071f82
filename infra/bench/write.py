"""The write side alone: rows of a great city's open keys into ClickHouse, a flush each second."""

import time
from collections.abc import Iterator
from typing import Any

from infra.bench.ground import Ground, Say
from infra.bench.load import T0_MS, camera_id
from infra.bench.processes import usage
from infra.bench.songlo import Target, create_database, drop_database, query, spec_for
from sinks.store import ClickHouseSink
from streams.core.pace import MONTH_S, pace, parts
from streams.core.values import Changes, Progress, Row, Rows

TOPIC = "bench.write"
PARTITIONS = 6
# what waits at most for one flush: the worker's own bound of 64 MB is about so many rows
ROWS_PER_FLUSH = 120_000
FLUSH_SECONDS, LONGEST_SECONDS = 1.0, 10.0
PARTS_BOUND = 300


def measure(seconds: int, keys: int, months: int, ground: Ground, say: Say) -> dict[str, Any]:
    """Write as much as goes, flush after flush, at the pace of a worker.

    Each flush has rows of so many months, as when old events are read in any order.
    """
    target = Target(ground.brokers, TOPIC, ground.clickhouse, ground.clickhouse_http, "bench_write")
    drop_database(target)
    create_database(target)
    sink, spec = ClickHouseSink(target.native), spec_for(TOPIC)
    engine, rows, flushes, most_parts, writing, cpu = ground.pids["clickhouse"], 0, 0, 0, 0.0, 0.0
    engine_before = usage(engine).cpu_seconds
    say(f"writing for {seconds} s …")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        changes = _changes(flushes, keys, months)
        began, before = time.monotonic(), time.process_time()
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


def _changes(flush: int, keys: int, months: int) -> list[Changes]:
    """One flush: the next rows of a minute that all keys are in."""
    changes = []
    for partition in range(PARTITIONS):
        per = ROWS_PER_FLUSH // PARTITIONS
        first = flush * ROWS_PER_FLUSH + partition * per
        rows = [_row(n, keys, months) for n in range(first, first + per)]
        progress = Progress("camera", TOPIC, partition, next_offset=first + per)
        changes.append(Changes(progress, Rows.of(rows), [], [], []))
    return changes


def _row(number: int, keys: int, months: int) -> Row:
    minute, key = divmod(number, keys)
    start_s = T0_MS // 1000 + minute * 60 - number % months * MONTH_S
    speed = 20_000 + number % 40_000
    dimensions = (camera_id(key), "02203", "vehicle", "car", "", "north")
    buckets, weights = [speed, speed + 1000, speed + 3000], [1, 2, 1]
    measures = (4, 4, 4, 4 * speed, speed + 3000, buckets, weights)
    return (start_s, *dimensions, 0, number, *measures)


def _parts(target: Target, table: str) -> int:
    sql = f"SELECT count() AS n FROM system.parts WHERE active AND database = '{target.database}'"  # noqa: S608  # our own names
    return int(query(target, f"{sql} AND table = '{table}'")[0]["n"])
