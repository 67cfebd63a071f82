"""`songlo bench`: what an event costs here, alone and beside what else people use."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from infra.cli.common import CommandError, echo_json, json_option, pass_settings
from infra.settings.values import Settings
from infra.setup.progress import SetupError
from infra.stack.process.service import ChildError
from infra.stack.stack import AlreadyRunningError
from tests.bench import late as lates
from tests.bench import latency as latencies
from tests.bench import scale as scales
from tests.bench import start as starts
from tests.bench import strays as astray
from tests.bench import write as writes
from tests.bench.compare import Result, compare
from tests.bench.contenders import choose
from tests.bench.ground import FillError, Ground, own_ground
from tests.bench.load import Load
from tests.bench.plot import draw
from tests.bench.report import as_json, machine, remarks, table
from tests.bench.run import RunError
from tests.bench.songlo import WorkerError

BOUND, WRONG = 0.8, 2.0


def events_option(default: int) -> Callable[[Any], Any]:
    """How many events are sent and read."""
    return click.option(
        "--events", type=click.IntRange(1000), default=default, show_default=True, help="Events."
    )


def runs_option(default: int) -> Callable[[Any], Any]:
    """How often each is measured; the median counts."""
    return click.option(
        "--runs", type=click.IntRange(1), default=default, show_default=True, help="Runs of each."
    )


keys_option = click.option(
    "--keys", type=click.IntRange(1, 1_000_000), default=436, show_default=True, help="Cameras."
)


@click.group(invoke_without_command=True)
@events_option(2_000_000)
@runs_option(3)
@json_option
@click.pass_context
@pass_settings
def command(settings: Settings, ctx: click.Context, events: int, runs: int, as_json: bool) -> None:
    """What an event costs: the worker beside a bare client loop.

    One worker on one core, exactness on, writing to ClickHouse, reads a backlog of camera events; then a bare
    aiokafka loop reads and decodes the same topic. Kafka and ClickHouse run on the other cores.
    """
    if ctx.invoked_subcommand is not None:
        return
    load = Load(events)
    with ground(settings) as here:
        results = compare(choose("a,g"), load, runs, here, settings.cache, say)
    if as_json:
        echo_json(report(results, load, runs))
        return
    for line in cost(results, load):
        click.echo(line)


@command.command()
@events_option(2_000_000)
@keys_option
@runs_option(5)
@click.option("--only", default="", help="Some contenders, as in a,d,f or a,f1,g.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the result into this PNG."
)
@json_option
@pass_settings
def peers(
    settings: Settings, events: int, keys: int, runs: int, only: str, plot: Path | None, as_json: bool
) -> None:
    """Songlo beside Faust, Quix Streams, Bytewax, ClickHouse, Kafka Streams.

    All read the same topic on the same core in turns, each in an environment of its own, and all
    windows are checked. Letters for --only:
    a Songlo, b Faust, c Quix, d Bytewax, e ClickHouse, f1-f4 Kafka Streams, g aiokafka, h confluent-kafka.
    """
    try:
        chosen = choose(only)
    except ValueError as e:
        raise CommandError(str(e)) from e
    load = Load(events, keys)
    with ground(settings) as here:
        results = compare(chosen, load, runs, here, settings.cache, say)
    if plot:
        draw(report(results, load, runs), plot, settings.cache)
    if as_json:
        echo_json(report(results, load, runs))
        return
    for line in (*table(results), "", *remarks(results, load, runs)):
        click.echo(line)


@command.command()
@events_option(2_000_000)
@runs_option(3)
@json_option
@pass_settings
def scale(settings: Settings, events: int, runs: int, as_json: bool) -> None:
    """Cost by number of cameras and of partitions; two workers beside one."""
    with ground(settings) as here:
        found = scales.measure(events, runs, here, settings.cache, say)
    show(found, scales.lines(found), as_json)


@command.command()
@click.option("--seconds", type=click.IntRange(5), default=20, show_default=True, help="Length of each load.")
@click.option("--full", type=click.IntRange(1000), help="Full load, events/s (default: measured first).")
@click.option("--flush-ms", type=click.IntRange(50), default=1000, show_default=True, help="Flush interval.")
@json_option
@pass_settings
def latency(settings: Settings, seconds: int, full: int | None, flush_ms: int, as_json: bool) -> None:
    """From sent to queryable in ClickHouse, at 10, 50 and 90 % of full load."""
    with ground(settings) as here:
        found = latencies.measure(seconds, full, flush_ms, here, settings.cache, say)
    show(found, latencies.lines(found), as_json)


@command.command()
@click.option("--seconds", type=click.IntRange(5), default=30, show_default=True, help="How long to write.")
@click.option("--keys", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Open keys.")
@click.option(
    "--months", type=click.IntRange(1, 120), default=1, show_default=True, help="Months in each flush."
)
@json_option
@pass_settings
def write(settings: Settings, seconds: int, keys: int, months: int, as_json: bool) -> None:
    """Rows per second into ClickHouse, and the parts that they leave."""
    with ground(settings) as here:
        found = writes.measure(seconds, keys, months, here, say)
    show(found, writes.lines(found), as_json)


@command.command()
@events_option(1_000_000)
@json_option
@pass_settings
def late(settings: Settings, events: int, as_json: bool) -> None:
    """What a late event costs, when all are late and half of them repeats."""
    with ground(settings) as here:
        found = lates.measure(events, here, say)
    show(found, lates.lines(found), as_json)


@command.command()
@events_option(1_000_000)
@runs_option(3)
@json_option
@pass_settings
def strays(settings: Settings, events: int, runs: int, as_json: bool) -> None:
    """What it costs when a sender's partitioner is not Kafka's own."""
    with ground(settings) as here:
        found = astray.measure(events, runs, here, say)
    show(found, astray.lines(found), as_json)


@command.command()
@runs_option(5)
@json_option
@pass_settings
def start(settings: Settings, runs: int, as_json: bool) -> None:
    """From a worker's start to ready, and to where a killed one had come."""
    with ground(settings) as here:
        found = starts.measure(runs, here, say)
    show(found, starts.lines(found), as_json)


@contextmanager
def ground(settings: Settings) -> Iterator[Ground]:
    """The bench's own stack; what can go wrong there is one line."""
    try:
        with own_ground(settings.cache, say) as here:
            yield here
    except AlreadyRunningError as e:
        raise CommandError("another bench is running: only one at a time can measure") from e
    except (SetupError, ChildError, FillError, RunError, WorkerError) as e:
        raise CommandError(str(e)) from e


def say(text: str) -> None:
    """What goes on, beside the answer."""
    click.echo(text, err=True)


def show(found: dict[str, Any], lines: Iterator[str], as_json: bool) -> None:
    """The answer, for people or for scripts."""
    if as_json:
        echo_json({**found, "machine": machine()})
        return
    for line in lines:
        click.echo(line)


def report(results: Sequence[Result], load: Load, runs: int) -> dict[str, Any]:
    """Results for scripts."""
    return as_json(results, load, runs)


def cost(results: Sequence[Result], load: Load) -> Iterator[str]:
    """Worker, bare loop, ratio; raises CommandError when one could not be measured."""
    for r in results:
        if not r.believed:
            raise CommandError(f"{r.contender.title}: {r.reason}")
    worker, bare = results
    yield f"{load.events:,} camera events, {load.keys} cameras, {load.partitions} partitions, one core"
    yield ""
    yield f"{'CPU µs per event':>51}{'events/s':>12}{'peak MB':>10}"
    for r in results:
        low, high = r.spread
        spread = f"{low:.2f}-{high:.2f}"
        yield f"{r.contender.title:<33}{r.cpu_us:>7.2f}{spread:>11}{r.per_second:>12,.0f}{r.peak_mb:>10.0f}"
    yield ""
    ratio = worker.cpu_us / bare.cpu_us
    yield f"ratio {ratio:.2f} (meant: at most {BOUND}; above {WRONG} delivery is broken)"
    yield (
        f"beside the worker: ClickHouse {worker.beside_us('clickhouse'):.2f} µs per event, "
        f"Kafka {worker.beside_us('broker'):.2f} µs, on the other core"
    )
