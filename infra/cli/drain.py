"""`songlo drain`."""

import time
from collections.abc import Callable
from typing import Any

import click

from infra.cli.common import FAILED, CommandError, echo_json, json_option, pass_settings
from infra.kafka.admin import Admin
from infra.operate.lag import Lag, lags, table
from infra.operate.pauses import Pause, pauses
from infra.operate.reads import PROGRESS, http_server, rows
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.sink import SinkUnavailable

_POLL_S = 0.2


@click.command()
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait at most.")
@json_option
@pass_settings
def command(settings: Settings, timeout: float, as_json: bool) -> int:
    """Wait until all that is in the topics now is folded, flushed and visible in ClickHouse.

    Events that arrive while it waits are not waited for. Exit status 1 with a table of what is left when the
    time is over, and as soon as only paused streams are left.
    """
    specs = load_streams().values()
    topics = [s.topic for s in specs]
    kafka = kafka_access(settings)
    with Admin(kafka) as admin:
        ends, starts = admin.ends(topics), admin.starts(topics)
    if not ends:
        raise CommandError("there are no topics: run `songlo topics`")
    server = http_server(settings)
    _check_same_log(settings, kafka, rows(server, PROGRESS))

    held: list[Pause] = []

    def left() -> list[Lag]:
        held[:] = pauses(server, specs)
        return [p for p in lags(ends, starts, rows(server, PROGRESS), {h.topic for h in held}) if p.lag]

    started = time.monotonic()
    remaining, failure = wait(left, started + timeout, time.monotonic, time.sleep)
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        echo_json(
            {
                "drained": not remaining and not failure,
                "seconds": seconds,
                "paused": [p.stream for p in held],
                "left": [{"topic": p.topic, "partition": p.partition, "lag": p.lag} for p in remaining],
            }
        )
    if failure:
        raise CommandError(f"not drained after {seconds:.0f} s: {failure}")
    if not remaining:
        return 0
    click.echo("\n".join(table(remaining, time.time_ns() // 1_000_000)), err=True)
    for pause in held:
        click.echo(f"songlo: {pause}", err=True)
    messages = sum(p.lag for p in remaining)
    click.echo(
        f"songlo: {messages:,} messages are left after {seconds:.0f} s; see `songlo status` for the workers",
        err=True,
    )
    return FAILED


def wait(
    left: Callable[[], list[Lag]], deadline: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> tuple[list[Lag], str]:
    """Ask until nothing is left or the time is over: what was left last, and why it could not be asked ('').

    What is left of paused streams alone is not waited for. A store that is away is asked again: it may be
    restarting.
    """
    remaining: list[Lag] = []
    while True:
        failure = ""
        try:
            remaining = left()
        except SinkUnavailable as e:
            failure = str(e)
        if not failure and all(p.paused for p in remaining):
            return remaining, ""
        if clock() >= deadline:
            return remaining, failure
        sleep(min(_POLL_S, max(0.0, deadline - clock())))


def _check_same_log(settings: Settings, kafka: KafkaAccess, progress: list[dict[str, Any]]) -> None:
    """Raises CommandError when a partition was folded further than its log goes."""
    with Admin(kafka) as admin:
        # asked after the progress: meanwhile the log can only have grown
        ends = admin.ends({p["topic"] for p in progress})
    for p in lags(ends, {}, progress):
        if p.beyond:
            raise CommandError(
                f"{p.topic} partition {p.partition} is folded up to offset {p.next_offset}, but ends at "
                f"{p.end}: the topic was created anew; "
                f"restart the workers with SONGLO_EPOCH={settings.epoch + 1}"
            )
