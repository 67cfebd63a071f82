"""What strays cost: all events sent by CRC32 of their keys, as librdkafka does, beside all sent home."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import uuid4

from infra.settings.environment import load_settings
from streams.core.home import partition_of
from tests.bench.ground import Ground, Say, fill_topic, held_bytes
from tests.bench.load import CRC32, MURMUR2, Load, camera_id, difference, readings, windows
from tests.bench.processes import usage, wait_quiet
from tests.bench.run import read_windows
from tests.bench.songlo import (
    READY_SECONDS,
    Target,
    Worker,
    WorkerError,
    create_database,
    drop_database,
    query,
    windows_csv,
)

# a seed of its own: a worker sends strays into the topic
SEED = 6
# of a backlog most strays come home late; as live ones come, none does
BACKLOG, LIVE = "backlog", "live"
LOOK_SECONDS, TIMEOUT_SECONDS = 0.05, 900.0
# what is run first, and does not count: Kafka and ClickHouse compile and cache what they need
WARM_EVENTS = 100_000

_COUNTED = """
    SELECT sum(p.folded + p.late) AS counted, sum(p.strays) AS strays, sum(p.late) AS late,
        sum(p.duplicates + p.dead) AS other
    FROM stream_progress AS p
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run until all events were counted: what came as strays, and late, and what it took.

    `cpu_us` is the processor time per event of each process by its name, `held` Kafka's bytes at the end.
    """

    strays: int
    late: int
    cpu_us: Mapping[str, float]
    held: int
    wall_s: float


def measure(events: int, runs: int, ground: Ground, say: Say) -> dict[str, Any]:
    """Count the same events in turns, at home and not, of a backlog and as live; each time of a new topic.

    All windows are checked. Raises WorkerError when one is wrong, or an event was not counted just once.
    """
    _once(_loads(WARM_EVENTS)[BACKLOG, CRC32], ground, say)
    loads = _loads(events)
    found: dict[tuple[str, str], list[Run]] = {kind: [] for kind in loads}
    for number in range(1, runs + 1):
        for kind, load in loads.items():
            one = _once(load, ground, say)
            found[kind].append(one)
            say(f"run {number}/{runs}  {' '.join(kind)}: {one.cpu_us['worker']:.2f} µs")
    kinds = {kind: _median(some) for kind, some in found.items()}
    return {
        "events": events,
        "runs": runs,
        "kinds": [{"time": kind[0], "partitioner": kind[1], **_told(one)} for kind, one in kinds.items()],
        "each_stray": {
            shape: _each_stray(events, kinds[shape, MURMUR2], kinds[shape, CRC32])
            for shape in (BACKLOG, LIVE)
        },
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    yield f"{found['events']:,} events, one core, medians of {found['runs']} in turns; all windows are exact"
    yield ""
    yield f"{'':<18}{'CPU µs per event sent':>42}{'bytes':>9}"
    head = f"{'':<18}{'strays':>9}{'late':>9}{'worker':>8}{'Kafka':>7}{'engine':>9}"
    yield f"{head}{'each':>9}{'seconds':>9}"
    for k in found["kinds"]:
        cpu, each = k["cpu_us_per_event"], k["held_bytes"] / found["events"]
        yield (
            f"{k['time']:<9}{k['partitioner']:<9}{k['strays']:>9,}{k['late']:>9,}{cpu['worker']:>8.2f}"
            f"{cpu.get('broker', 0):>7.2f}{cpu.get('clickhouse', 0):>9.2f}{each:>9.0f}{k['wall_s']:>9.2f}"
        )
    yield ""
    for shape, more in found["each_stray"].items():
        cpu = more["cpu_us"]
        beside = f"{cpu.get('broker', 0):.2f} of Kafka, {cpu.get('clickhouse', 0):.2f} of ClickHouse"
        mine = f"{cpu['worker']:.2f} µs of the worker"
        yield f"each stray costs more, {shape}: {mine}, {beside}; {more['bytes']:.0f} bytes"


def _loads(events: int) -> dict[tuple[str, str], Load]:
    # half of the disorder that is allowed: whatever comes when, none is late
    within_s = max(1, load_settings(os.environ).disorder_seconds // 2)
    rates = {BACKLOG: Load(events).per_second, LIVE: max(1, events // within_s)}
    return {
        (shape, partitioner): Load(events, per_second=rate, seed=SEED, partitioner=partitioner)
        for shape, rate in rates.items()
        for partitioner in (MURMUR2, CRC32)
    }


def _once(load: Load, ground: Ground, say: Say) -> Run:
    fill_topic(ground.brokers, load, say)
    name = f"bench_strays_{uuid4().hex[:8]}"
    target = Target(ground.brokers, load.topic, ground.clickhouse, ground.clickhouse_http, name)
    create_database(target)
    try:
        wait_quiet(ground.pids.values())
        pinned = ["taskset", "-c", str(ground.core)] if ground.core is not None else []
        with Worker(target, ground.work, prefix=pinned) as worker:
            one = _counted(worker, load, ground)
        _check(target, load, one, ground)
        return one
    finally:
        drop_database(target)


def _counted(worker: Worker, load: Load, ground: Ground) -> Run:
    """From before the first event is read until all are counted in ClickHouse."""
    worker.wait(worker.has_begun, READY_SECONDS, "has not begun")
    beside = {name: usage(pid).cpu_seconds for name, pid in ground.pids.items()}
    cpu_before, began = worker.began()
    counts: dict[str, int] = {}

    def counted() -> bool:
        (row,) = query(worker.target, _COUNTED)
        counts.update(row)
        return counts["counted"] >= load.events

    worker.wait(counted, TIMEOUT_SECONDS, f"has not counted {load.events:,} events")
    took = time.monotonic() - began
    spent = {name: usage(pid).cpu_seconds - beside[name] for name, pid in ground.pids.items()}
    spent["worker"] = usage(worker.pid).cpu_seconds - cpu_before
    if counts["other"] or counts["counted"] > load.events:
        raise WorkerError(
            f"of {load.events:,} events {counts['counted']:,} counted, {counts['other']} did not"
        )
    each = {name: seconds * 1e6 / load.events for name, seconds in spent.items()}
    return Run(counts["strays"], counts["late"], each, held_bytes(ground, load), took)


def _check(target: Target, load: Load, one: Run, ground: Ground) -> None:
    keys = [camera_id(camera).encode() for camera in range(load.keys)]
    strayed = [load.partition_of(key) != partition_of(key, load.partitions) for key in keys]
    strays = sum(strayed[camera] for camera, *_ in readings(load))
    if one.strays != strays:
        raise WorkerError(f"{one.strays:,} events were sent home, {strays:,} should have been")
    out = ground.work / f"{target.database}.windows"
    with out.open("wb") as file:
        file.writelines(windows_csv(target))
    if wrong := difference(load, windows(load), read_windows(out), complete=True):
        raise WorkerError(f"windows are wrong: {wrong}")
    out.unlink()


def _median(some: Sequence[Run]) -> Run:
    return Run(
        strays=round(median(r.strays for r in some)),
        late=round(median(r.late for r in some)),
        cpu_us={name: median(r.cpu_us[name] for r in some) for name in some[0].cpu_us},
        held=round(median(r.held for r in some)),
        wall_s=median(r.wall_s for r in some),
    )


def _told(one: Run) -> dict[str, Any]:
    return {
        "strays": one.strays,
        "late": one.late,
        "cpu_us_per_event": {name: round(us, 3) for name, us in one.cpu_us.items()},
        "held_bytes": one.held,
        "wall_s": round(one.wall_s, 2),
    }


def _each_stray(events: int, at_home: Run, astray: Run) -> dict[str, Any]:
    """What a stray costs beyond an event that is at home."""
    share = events / astray.strays
    more = {name: (us - at_home.cpu_us[name]) * share for name, us in astray.cpu_us.items()}
    return {
        "cpu_us": {name: round(us, 3) for name, us in more.items()},
        "bytes": round((astray.held - at_home.held) / astray.strays, 1),
    }
