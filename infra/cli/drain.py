"""`songlo drain`."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from infra.cli.common import FAILED, CommandError, echo_json, json_option, pass_settings
from infra.kafka.admin import Admin
from infra.operate.lag import Lag, Offsets, lags, table
from infra.operate.pauses import Pause, pauses
from infra.operate.reads import EPOCHS, PROGRESS, http_server, rows
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from sinks.clickhouse import ClickHouseAccess
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

    Events that arrive while it waits are not waited for, except those that workers send on to their own
    partition: there they are folded. Exit status 1 with a table of what is left when the time is over, and as
    soon as only paused streams are left.
    """
    specs = load_streams().values()
    topics = [s.topic for s in specs]
    kafka = kafka_access(settings)
    with Admin(kafka) as admin:
        ends, starts = admin.ends(topics), admin.starts(topics)
    if not ends:
        raise CommandError("there are no topics: run `songlo topics`")
    server = http_server(settings)
    _check_same_log(kafka, server, rows(server, PROGRESS), settings.epoch)

    held: list[Pause] = []

    def left(up_to: Offsets) -> list[Lag]:
        held[:] = pauses(server, specs)
        return [p for p in lags(up_to, starts, rows(server, PROGRESS), {h.topic for h in held}) if p.lag]

    def ends_of_strays() -> Offsets:
        strayed = {p["topic"] for p in rows(server, PROGRESS) if p["strays"]}
        if not strayed:
            return {}
        with Admin(kafka) as admin:
            return admin.ends(strayed)

    started = time.monotonic()
    remaining, failure = drain(left, ends, ends_of_strays, started + timeout, time.monotonic, time.sleep)
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


def drain(
    left: Callable[[Offsets], list[Lag]],
    ends: Offsets,
    ends_of_strays: Callable[[], Offsets],
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> tuple[list[Lag], str]:
    """Wait until all up to these ends is folded, and the strays among it where they were sent; as `wait`.

    Strays are in the log before the progress that counts them is stored, so one look at where the topics end
    by then is enough: at home none is a stray any more. `ends_of_strays` gives the ends of topics with any.
    """
    remaining, failure = wait(partial(left, ends), deadline, clock, sleep)
    if failure or not all(p.paused for p in remaining):
        return remaining, failure
    try:
        more = ends_of_strays()
    except SinkUnavailable as e:
        return remaining, str(e)
    return wait(partial(left, {**ends, **more}), deadline, clock, sleep) if more else (remaining, "")


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


def _check_same_log(
    kafka: KafkaAccess, server: ClickHouseAccess, progress: list[dict[str, Any]], epoch: int
) -> None:
    """Raises CommandError when a partition was folded further than its log goes."""
    with Admin(kafka) as admin:
        # asked after the progress: meanwhile the log can only have grown
        ends = admin.ends({p["topic"] for p in progress})
    for p in lags(ends, {}, progress):
        if p.beyond:
            # a change of homes has raised it without a setting
            stored = {row["topic"]: row["epoch"] for row in rows(server, EPOCHS)}
            raise CommandError(
                f"{p.topic} partition {p.partition} is folded up to offset {p.next_offset}, but ends at "
                f"{p.end}: the topic was created anew; "
                f"restart the workers with SONGLO_EPOCH={max(epoch, stored.get(p.topic, 0)) + 1}"
            )
