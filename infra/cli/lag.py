"""`songlo lag`."""

import time

import click

from infra.cli.common import echo_json, json_option, pass_settings
from infra.kafka.admin import Admin
from infra.operate.lag import away, lags, table
from infra.operate.pauses import noted, pauses
from infra.operate.reads import PROGRESS, http_server, rows
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from streams.registry import load_streams


@click.command()
@json_option
@pass_settings
def command(settings: Settings, as_json: bool) -> None:
    """How far each partition's windows are behind its events.

    The end of the log in Kafka, the next offset to be folded as ClickHouse has it, the messages between
    them, how many events of the partition were strays (their home is another one, and they were sent there),
    and how old the watermark is: no event older than that is waited for. A stream that a breaker has paused
    is shown as paused, and it is said what of a stream's refused events is only noted.
    """
    specs = load_streams().values()
    topics, server = [s.topic for s in specs], http_server(settings)
    with Admin(kafka_access(settings)) as admin:
        # progress first: asked the other way round, a running worker could seem to be ahead of the log
        progress = rows(server, PROGRESS)
        held = pauses(server, specs)
        found = lags(admin.ends(topics), admin.starts(topics), progress, {p.topic for p in held})
    now_ms = time.time_ns() // 1_000_000
    if not as_json:
        click.echo("\n".join(table(found, now_ms)))
        click.echo(f"{sum(p.lag for p in found):,} messages to fold")
        for pause in held:
            click.echo(f"songlo: {pause}", err=True)
        for line in (*away(found), *noted(server)):
            click.echo(f"songlo: {line}", err=True)
        return
    echo_json(
        [
            {
                "topic": p.topic,
                "partition": p.partition,
                "end": p.end,
                "next_offset": p.next_offset,
                "lag": p.lag,
                "watermark_ms": p.watermark_ms,
                "watermark_age_s": p.age_s(now_ms),
                "paused": p.paused,
                "strays": p.strays,
                "away": p.away,
            }
            for p in found
        ]
    )
