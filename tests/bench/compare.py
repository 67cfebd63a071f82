"""Contenders side by side: interleaved runs, so that what disturbs the machine disturbs them all alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from uuid import uuid4

from infra.setup.progress import SetupError, SetupProgress
from tests.bench.contenders import Contender
from tests.bench.environment import command
from tests.bench.ground import Ground, Say, ensure_topic
from tests.bench.load import Load, Windows, difference, windows
from tests.bench.processes import wait_quiet
from tests.bench.run import RunError, Sample, read_windows, run

# what no contender should need for one run, in seconds and in seconds per event
LEAST_SECONDS, SECONDS_PER_EVENT = 120.0, 0.005


@dataclass(slots=True)
class Result:
    """What is known of a contender under a load, called `title` while it runs.

    `reason` says why there are no figures, or why they are not believed.
    """

    contender: Contender
    load: Load
    title: str
    samples: list[Sample] = field(default_factory=list)
    reason: str = ""

    @property
    def believed(self) -> bool:
        """Whether there are figures, and its windows were right in every run."""
        return bool(self.samples) and not self.reason

    @property
    def cpu_us(self) -> float:
        """Median of the processor time per event, in microseconds."""
        return median(s.cpu_us for s in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the most processor time per event."""
        costs = [s.cpu_us for s in self.samples]
        return min(costs), max(costs)

    @property
    def per_second(self) -> float:
        """Median of the events per second."""
        return median(s.per_second for s in self.samples)

    @property
    def peak_mb(self) -> float:
        """Median of the peak memory in MB."""
        return median(s.peak_mb for s in self.samples)

    def beside_us(self, name: str) -> float:
        """Median of the processor time per event that another process spent meanwhile."""
        return median(s.beside.get(name, 0.0) * 1e6 / s.events for s in self.samples)


def compare(
    contenders: Sequence[Contender], load: Load, runs: int, ground: Ground, cache: Path, say: Say
) -> list[Result]:
    """Run all contenders `runs` times in turns; one that fails or is wrong is left out."""
    loads = [replace(load, events=c.events(load.events)) for c in contenders]
    results = [Result(c, each, f"{c.name:<3}{c.title}") for c, each in zip(contenders, loads, strict=True)]
    in_turns(results, runs, ground, cache, say)
    return results


def in_turns(results: Sequence[Result], runs: int, ground: Ground, cache: Path, say: Say) -> None:
    """Run each of them `runs` times in turns.

    Each load is run once before, by the first that has it, which does not count: a topic's first read costs
    twice, and by then Kafka and ClickHouse have compiled and cached what they need. Every run waits until
    both are quiet, as what they do beside it costs it time.
    """
    commands = {r.contender.name: _command(r, cache) for r in results}
    firsts: dict[Load, Result] = {}
    for result in results:
        if not result.reason:
            firsts.setdefault(result.load, result)
    for load in firsts:
        ensure_topic(ground.brokers, load, say)
    expected: dict[Load, Windows] = {}
    for number in range(runs + 1):
        for result in results if number else firsts.values():
            if result.reason:
                continue
            wait_quiet(ground.pids.values())
            _once(result, commands[result.contender.name], expected, ground)
            say(f"{f'run {number}/{runs}' if number else 'warming'}  {_told(result)}")
            if not number:
                result.samples.clear()


def ratios(results: Sequence[Result]) -> dict[str, float]:
    """How many times Songlo's processor time each contender takes, by name."""
    base = next((r for r in results if r.contender.name == "a" and r.believed), None)
    if base is None:
        return {}
    return {r.contender.name: r.cpu_us / base.cpu_us for r in results if r is not base and r.believed}


def _command(result: Result, cache: Path) -> list[str]:
    try:
        return command(result.contender.script, result.contender.environment, cache, SetupProgress())
    except SetupError as e:
        result.reason = f"not installed: {e}"
        return []


def _once(result: Result, started: list[str], expected: dict[Load, Windows], ground: Ground) -> None:
    contender, load = result.contender, result.load
    options: Mapping[str, str] = contender.options
    if contender.name == "a":
        options = {"clickhouse": ground.clickhouse, "clickhouse_http": ground.clickhouse_http}
    name = f"{contender.name}-{uuid4().hex[:8]}"
    timeout = LEAST_SECONDS + load.events * SECONDS_PER_EVENT
    try:
        sample, out = run(started, load, ground.place, name, options, timeout)
    except RunError as e:
        result.reason = str(e)
        return
    result.samples.append(sample)
    if contender.windows:
        if load not in expected:
            expected[load] = windows(load)
        if wrong := difference(load, expected[load], read_windows(out), complete=contender.complete):
            result.reason = f"windows are wrong: {wrong}"
    out.unlink()


def _told(result: Result) -> str:
    if result.reason:
        return f"{result.title}: {result.reason}"
    last = result.samples[-1]
    return f"{result.title}: {last.cpu_us:.2f} µs, {last.per_second:,.0f} events/s"
