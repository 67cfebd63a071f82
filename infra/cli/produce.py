"""`songlo produce`."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from typing import IO, cast

import click

from infra.cli.common import FAILED, CommandError, echo_json, json_option, pass_settings
from infra.cli.progress import progress
from infra.kafka.lines import LineReader, Problem, lines
from infra.kafka.producer import Producer
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from schemas.codec import Codec
from streams.registry import load_streams
from streams.spec import StreamSpec

_SHOWN = 10
_SPOOL_BYTES = 256 << 20
_STRIDE = 2000


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading all input once found: messages and events to send, the first problems and how many."""

    messages: int
    events: int
    problems: tuple[Problem, ...]
    refused: int


class StreamChoice(click.ParamType):
    """A stream's name; the choices come from the streams that this tree defines."""

    name = "STREAM"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> StreamSpec:
        """The stream's definition; fails with the names that there are."""
        specs = load_streams()
        if value not in specs:
            self.fail(f"{value!r} is no stream: one of {', '.join(specs)}", param, ctx)
        return specs[value]


@click.command()
@click.argument("stream", type=StreamChoice())
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--raw", is_flag=True, help="Send each line's bytes as they are, valid or not.")
@json_option
@pass_settings
def command(settings: Settings, stream: StreamSpec, file: str, raw: bool, as_json: bool) -> int:
    """Send the events of FILE (default: stdin) to STREAM.

    One event per line, as JSON; a line may also be an array of events: those of one Kafka partition travel
    together. Plain or gzip.

    All input is checked before anything is sent: if one event is refused, nothing is sent, and the first
    ten refusals are named by line and field (exit status 1). It is done when Kafka has confirmed every
    message. Sending the same file again changes nothing: duplicates are removed.

    --raw skips the checks. What is wrong then ends in the table dead_letters.
    """
    started = time.monotonic()
    latest_ms = None if raw else time.time_ns() // 1_000_000 + settings.skew_seconds * 1000
    reader = LineReader(stream, Codec(stream.event), latest_ms)
    with _source(file) as source:
        checked = _check(reader, source)
        if checked.refused:
            _refuse(checked, as_json)
            return FAILED
        with Producer(kafka_access(settings)) as producer:
            _send(reader, source, producer, checked.messages)
    seconds = time.monotonic() - started
    if as_json:
        echo_json(
            {
                "stream": stream.name,
                "topic": stream.topic,
                "messages": producer.acknowledged,
                "events": None if raw else checked.events,
                "seconds": round(seconds, 3),
            }
        )
    else:
        what = f"{checked.messages:,} messages" if raw else f"{checked.events:,} events"
        click.echo(f"{stream.topic}: {what} sent in {seconds:.1f} s", err=True)
    return 0


@contextmanager
def _source(file: str) -> Iterator[IO[bytes]]:
    """The input as a file that can be read twice; a pipe is kept aside for that."""
    with ExitStack() as opened:
        given = sys.stdin.buffer if file == "-" else opened.enter_context(Path(file).open("rb"))
        if file != "-" and given.seekable():
            yield given
            return
        spool = opened.enter_context(tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES))
        copyfileobj(given, spool, 1 << 20)
        yield cast(IO[bytes], spool)


def _check(reader: LineReader, source: IO[bytes]) -> Checked:
    messages = events = refused = 0
    problems: list[Problem] = []
    for number, value in _lines(source):
        match reader.read(number, value):
            case None:
                pass
            case list(found):
                refused += len(found)
                problems += found[: _SHOWN - len(problems)]
            case message:
                messages += 1
                events += message.events
    return Checked(messages, events, tuple(problems), refused)


def _send(reader: LineReader, source: IO[bytes], producer: Producer, total: int) -> None:
    topic = reader.spec.topic
    home = partial(producer.home, topic)
    with progress(topic, total) as advance:
        for number, value in _lines(source):
            message = reader.read(number, value)
            if message is None:
                continue
            if isinstance(message, list):
                raise CommandError(f"{message[0]} (the file changed while it was read; send it again)")
            for each in message.at_home(home):
                producer.send(topic, each.key, each.value)
            if number % _STRIDE == 0:
                advance(_STRIDE)
        producer.flush()


def _lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    try:
        yield from lines(source)
    except (OSError, EOFError) as e:
        raise CommandError(f"the input can't be read to its end: {e}") from e


def _refuse(checked: Checked, as_json: bool) -> None:
    if as_json:
        echo_json({"refused": checked.refused, "problems": [asdict(p) for p in checked.problems]})
    for problem in checked.problems:
        click.echo(f"songlo: {problem}", err=True)
    more = checked.refused - len(checked.problems)
    click.echo(
        f"songlo: {f'and {more:,} more; ' if more else ''}nothing was sent: correct the events, "
        "or send them as they are with --raw",
        err=True,
    )
