"""What must not grow in a long run: memory, open files, parts of tables, and the time that a start takes."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from infra.operate.reads import rows
from infra.stack.stack import Stack
from streams.sink import SinkError
from tests.chaos.process import open_files, rss_mb
from tests.chaos.rig import Rig

READY = "seconds to ready"
# fewer say nothing of growth
ENOUGH = 9
# the last third against the first: so many times as much, and so much beyond that, is noise
TIMES = 1.3
SLACK = {"MB": 32.0, "files": 16.0, "parts": 40.0, "seconds": 3.0}
PARTS = (
    "SELECT table, count() AS parts FROM system.parts WHERE database = currentDatabase() AND active "
    "GROUP BY table ORDER BY table"
)


@dataclass(frozen=True, slots=True)
class Trend:
    """One number over a run; `grew` is None when there are too few values to tell."""

    first: float
    last: float
    most: float
    values: int
    grew: bool | None


def trend(name: str, values: Sequence[float]) -> Trend:
    """Of at least one value; growth is judged by the medians of the first and the last third."""
    grew, third = None, len(values) // 3
    if len(values) >= ENOUGH:
        slack = next((room for unit, room in SLACK.items() if unit in name), 0.0)
        grew = median(values[-third:]) > TIMES * median(values[:third]) + slack
    return Trend(values[0], values[-1], max(values), len(values), grew)


def trends(samples: Sequence[Mapping[str, float]], ready_s: Sequence[float]) -> dict[str, Trend]:
    """By name; a table may have come later than others."""
    series: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.items():
            if name != "minute":
                series.setdefault(name, []).append(value)
    if ready_s:
        series[READY] = list(ready_s)
    return {name: trend(name, values) for name, values in series.items()}


def look(rig: Rig, stack: Stack, minute: float) -> dict[str, float]:
    """One sample: of the workers the largest, of the store each table; what is away is left out."""
    found = {"minute": round(minute, 1)}
    pids = {
        "worker": [w.pid for w in rig.workers if w.alive],
        "ClickHouse": [pid for pid in (stack.pid("clickhouse"),) if pid],
        "guard": [pid for pid in (stack.pid("guard"),) if pid],
    }
    for name, of in pids.items():
        with contextlib.suppress(OSError, ValueError):
            found[f"MB of {name}"] = round(max(rss_mb(pid) for pid in of), 1)
            found[f"files of {name}"] = max(open_files(pid) for pid in of)
    with contextlib.suppress(SinkError):
        found |= {f"parts of {row['table']}": int(row["parts"]) for row in rows(rig.server, PARTS)}
    return found
