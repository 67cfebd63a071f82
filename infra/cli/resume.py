"""`songlo resume`."""

import time
from contextlib import closing

import click

from infra.cli.common import CommandError, echo_json, json_option, pass_settings
from infra.cli.produce import StreamChoice
from infra.kafka.admin import Admin
from infra.operate.reads import native_server
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from sinks.store import ClickHouseSink
from streams.core.breaker import Breaker
from streams.core.values import version_of
from streams.sink import Sink
from streams.spec import StreamSpec


@click.command()
@click.argument("stream", type=StreamChoice())
@click.option("--past", is_flag=True, help="Skip what is refused up to now: only note its places.")
@json_option
@pass_settings
def command(settings: Settings, stream: StreamSpec, past: bool, as_json: bool) -> None:
    """Let a stream go on that was paused for its dead letters.

    The workers hear of it within seconds and go on where they stood: nothing was skipped. Refusals are
    counted anew from there, so a stream that is still broken is paused again.

    With --past, what is in Kafka by now pauses nothing any more: valid events of it count as ever, of what is
    refused only the places are noted, and `songlo dlq fetch` makes dead letters of them.
    """
    with closing(ClickHouseSink(native_server(settings))) as sink:
        known = sink.breakers().get(stream.name, Breaker(stream.name))
        now_ms = time.time_ns() // 1_000_000
        if past:
            ends = _ends(settings, sink, stream)
            sink.put_breaker(known.skip(ends, now_ms, "resumed by hand, past what is refused by now"))
        elif known.paused:
            sink.put_breaker(known.resume(now_ms, "resumed by hand"))
    if as_json:
        echo_json({"stream": stream.name, "was_paused": known.paused, "reason": known.reason, "past": past})
        return
    if known.paused:
        click.echo(f"stream {stream.name} goes on; it was paused because {known.reason}")
    else:
        click.echo(f"stream {stream.name} is not paused")
    if past:
        click.echo("what is refused of the log up to now is only noted: songlo dlq fetch")


def _ends(settings: Settings, sink: Sink, stream: StreamSpec) -> dict[int, int]:
    """The end of each partition's log by now, with its epoch: that of its progress, or the one set."""
    with Admin(kafka_access(settings)) as admin:
        ends = {number: end for (_, number), end in admin.ends([stream.topic]).items()}
    if not ends:
        raise CommandError(f"there is no topic {stream.topic}: run `songlo topics`")
    progress = sink.progress(stream.topic, ends)
    return {
        number: version_of(progress[number].epoch if number in progress else settings.epoch, end)
        for number, end in ends.items()
    }
