"""Results as a table of 80 columns, and as JSON."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.compare import Result, ratios
from tests.bench.load import Load

# from here on decimals say nothing
MANY = 100


def table(results: Sequence[Result]) -> Iterator[str]:
    """One line for each contender."""
    times = ratios(results)
    yield f"{'CPU µs per event':>53}{'events/s':>10}{'MB':>5}{'ratio':>6}{'goal':>6}"
    for r in results:
        name = f"{r.contender.name:<3}{r.contender.title:<35.35}"
        if not r.believed:
            yield f"{name} {' '.join(r.reason.split())[:41]}"
            continue
        low, high = r.spread
        digits = 2 if high < MANY / 10 else 1 if high < MANY else 0
        spread = f"{low:.{digits}f}-{high:.{digits}f}"
        ratio, goal = _short(times.get(r.contender.name)), _short(r.contender.target)
        cost = f"{r.cpu_us:>5.{digits}f}{spread:>10}"
        yield f"{name}{cost}{r.per_second:>10,.0f}{r.peak_mb:>5.0f}{ratio:>6}{goal:>6}"


def _short(times: float | None) -> str:
    """Three digits, '' for nothing."""
    if times is None:
        return ""
    return f"{times:.2f}" if times < MANY / 10 else f"{times:.1f}" if times < MANY else f"{times:.0f}"


def remarks(results: Sequence[Result], load: Load, runs: int) -> Iterator[str]:
    """What a reader must know to judge the table."""
    yield (
        f"{load.events:,} events of {load.keys:,} cameras, {load.partitions} partitions; medians of {runs} "
        "runs in turns, with the least and the most."
    )
    slow = [r for r in results if r.load.events != load.events]
    if slow:
        counts = ", ".join(f"{r.contender.name} {r.load.events:,}" for r in slow)
        yield f"Slow ones had a topic with fewer events: {counts}."
    yield "Ratio: times the CPU of (a); goal: what it is meant to be at least."
    yield "All windows were equal to a computation from the events alone, where figures are shown."
    songlo = next((r for r in results if r.contender.name == "a" and r.believed), None)
    if songlo:
        yield (
            f"Beside (a), ClickHouse took {songlo.beside_us('clickhouse'):.2f} µs per event on the "
            f"other core, Kafka {songlo.beside_us('broker'):.2f} µs."
        )


def as_json(results: Sequence[Result], load: Load, runs: int) -> dict[str, Any]:
    """The same, for scripts."""
    return {
        "contenders": [_contender(r) for r in results],
        "ratios": {name: round(value, 3) for name, value in ratios(results).items()},
        "load": {
            "events": load.events,
            "keys": load.keys,
            "partitions": load.partitions,
            "events_per_second_of_event_time": load.per_second,
        },
        "runs": runs,
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}


def _contender(r: Result) -> dict[str, Any]:
    about: dict[str, Any] = {
        "name": r.contender.name,
        "title": r.contender.title,
        "target": r.contender.target,
    }
    if not r.samples:
        nothing: Mapping[str, None] = dict.fromkeys(("cpu_us_per_event", "events_per_s", "peak_mb", "equal"))
        return {**about, **nothing, "reason": r.reason}
    equal = None if not r.contender.windows else not r.reason
    return {
        **about,
        "cpu_us_per_event": round(r.cpu_us, 3),
        "cpu_us_spread": [round(v, 3) for v in r.spread],
        "events_per_s": round(r.per_second),
        "peak_mb": round(r.peak_mb, 1),
        "equal": equal,
        "events": r.load.events,
        "runs": len(r.samples),
        "beside_us_per_event": {name: round(r.beside_us(name), 3) for name in r.samples[-1].beside},
        **({"reason": r.reason} if r.reason else {}),
    }
