"""`songlo resume`."""

import time
from contextlib import closing

import click

from infra.cli.common import echo_json, json_option, pass_settings
from infra.cli.produce import StreamChoice
from infra.settings import Settings
from infra.windows import native_server
from sinks.store import ClickHouseSink
from streams.core.breaker import Breaker
from streams.spec import StreamSpec


@click.command()
@click.argument("stream", type=StreamChoice())
@json_option
@pass_settings
def command(settings: Settings, stream: StreamSpec, as_json: bool) -> None:
    """Let a stream go on that was paused for its dead letters.

    The workers hear of it within seconds and go on where they stood: nothing was skipped. Refusals are
    counted anew from there, so a stream that is still broken is paused again.
    """
    with closing(ClickHouseSink(native_server(settings))) as sink:
        known = sink.breakers().get(stream.name, Breaker(stream.name))
        resumed = known.resume(time.time_ns() // 1_000_000, "resumed by hand")
        if known.paused:
            sink.put_breaker(resumed)
    if as_json:
        echo_json({"stream": stream.name, "was_paused": known.paused, "reason": known.reason})
    elif known.paused:
        click.echo(f"stream {stream.name} goes on; it was paused because {known.reason}")
    else:
        click.echo(f"stream {stream.name} is not paused")
