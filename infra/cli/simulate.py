"""`songlo simulate`."""

import sys
import time
from datetime import datetime
from threading import Event

import click

from infra.cli.common import echo_json, json_option, pass_settings
from infra.demo.simulate.city import tuyen_quang
from infra.demo.simulate.generate import STREAMS, LoadPlan, SimulationError, simulate
from infra.demo.simulate.moment import SimulatedMoment
from infra.demo.simulate.send import SendCounts, send_in_time
from infra.kafka.lines import LineReader
from infra.kafka.producer import Producer
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from schemas.codec import Codec
from streams.registry import load_streams

_DAY_S = 86_400
_SHARE = click.FloatRange(0, 1)


class TimeOfDay(click.ParamType):
    """HH:MM as seconds since midnight."""

    name = "HH:MM"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds since midnight."""
        hours, _, minutes = value.partition(":")
        if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
            self.fail(f"{value!r} must be HH:MM", param, ctx)
        return int(hours) * 3600 + int(minutes) * 60


class Instant(click.ParamType):
    """RFC 3339 with an offset, as epoch milliseconds."""

    name = "TIME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Epoch milliseconds."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail(f"{value!r} must be like 2025-11-24T07:30:00+07:00", param, ctx)
        return int(moment.timestamp() * 1000)


@click.command()
@click.option("--rate", default=100.0, show_default=True, help="Events per second, on average.")
@click.option("--duration", type=float, metavar="S", help="Seconds to simulate (default: until Ctrl-C).")
@click.option("--seed", default=1, show_default=True, help="Another seed is another day.")
@click.option("--disorder", default=3.0, show_default=True, metavar="S", help="Seconds on the way at most.")
@click.option(
    "--duplicates", default=0.0, type=_SHARE, metavar="P", help="Share sent again, up to 5 min later."
)
@click.option("--late", default=0.0, type=_SHARE, metavar="P", help="Share that comes 3 to 15 min late.")
@click.option("--garbage", default=0.0, type=_SHARE, metavar="P", help="Broken messages besides, as a share.")
@click.option("--start", type=Instant(), help="Begin there; what has passed is sent at once (default: now).")
@click.option("--at", "at_s", type=TimeOfDay(), help="Let the city behave as at this time of day.")
@click.option("--stream", "streams", multiple=True, type=click.Choice(STREAMS), help="Only this; repeatable.")
@click.option("--stdout", is_flag=True, help="Print lines for `produce` instead, without waiting.")
@json_option
@pass_settings
def command(
    settings: Settings,
    rate: float,
    duration: float | None,
    seed: int,
    disorder: float,
    duplicates: float,
    late: float,
    garbage: float,
    start: int | None,
    at_s: int | None,
    streams: tuple[str, ...],
    stdout: bool,
    as_json: bool,
) -> None:
    """Send a believable day in the city, as it happens: rush hours, market days, office hours.

    The rate is the mean over the duration, or over a day without one.
    The same seed and --start give the same events. Ctrl-C ends it; what was sent is confirmed first.

    \b
    songlo simulate --rate 500 --duration 60 --duplicates 0.05 --late 0.02 --garbage 0.01
    songlo simulate --stream camera --duration 3600 --stdout > hour.json
    """
    start_ms = _now_ms() if start is None else start
    try:
        plan = LoadPlan(
            start_ms=start_ms,
            duration_ms=None if duration is None else int(duration * 1000),
            seed=seed,
            rate=rate,
            disorder_s=disorder,
            duplicates=duplicates,
            late=late,
            garbage=garbage,
            ahead_ms=0 if at_s is None else ahead_ms(start_ms, at_s),
            streams=streams or STREAMS,
        )
    except SimulationError as e:
        raise click.UsageError(str(e)) from e
    if stdout:
        _print(plan)
        return
    started = time.monotonic()
    tally = _send(settings, plan)
    seconds = time.monotonic() - started
    if as_json:
        echo_json({"messages": tally.messages, "broken": tally.broken, "seconds": round(seconds, 3)})
        return
    behind = f", {tally.behind_ms / 1000:.1f} s behind" if tally.behind_ms > 1000 and start is None else ""
    click.echo(
        f"{tally.messages:,} messages sent in {seconds:.1f} s, {tally.broken:,} broken{behind}", err=True
    )


def ahead_ms(start_ms: int, at_s: int) -> int:
    """How far the city's clock must be set forward to show `at_s` (seconds since midnight) at `start_ms`."""
    return int((at_s - SimulatedMoment.at(start_ms).hour * 3600) % _DAY_S * 1000)


def _send(settings: Settings, plan: LoadPlan) -> SendCounts:
    readers = {n: LineReader(s, Codec(s.event), None) for n, s in load_streams().items() if n in plan.streams}
    tally = SendCounts()
    with Producer(kafka_access(settings)) as producer:
        try:
            send_in_time(simulate(tuyen_quang(), plan), readers, producer, tally, _now_ms, Event().wait)
        except KeyboardInterrupt:
            click.echo("songlo: stopping, waiting for Kafka's confirmation", err=True)
    return tally


def _print(plan: LoadPlan) -> None:
    if len(plan.streams) != 1:
        raise click.UsageError("--stdout prints one stream: choose it with --stream")
    if plan.duration_ms is None:
        raise click.UsageError("--stdout needs a --duration")
    for sent in simulate(tuyen_quang(), plan):
        sys.stdout.buffer.write(sent.value + b"\n")
    sys.stdout.buffer.flush()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
