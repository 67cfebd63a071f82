"""`songlo dlq fetch`."""

from collections.abc import Callable
from contextlib import closing
from functools import lru_cache

import click

from infra.cli.common import FAILED, echo_json, json_option, pass_settings
from infra.cli.dlq.options import Places, letters_of, selecting
from infra.kafka.admin import Admin
from infra.kafka.reader import LogReader
from infra.operate.letters.fetch import UNLIMITED, Fetcher, FetchReport, Kept
from infra.operate.reads import native_server
from infra.settings.addresses import kafka_access
from infra.settings.rules import rules_of
from infra.settings.values import Settings
from sinks.letters import NotedMessage, Selection
from sinks.store import ClickHouseSink
from streams.registry import load_streams
from streams.sink import Sink

SHOWN = 5


@click.command("fetch")
@selecting
@click.option("--limit", type=click.IntRange(1), help="Only so many, in the order of the log.")
@json_option
@pass_settings
def fetch_letters(
    settings: Settings, selection: Selection, places: Places, limit: int | None, as_json: bool
) -> int:
    """Read what is only noted from Kafka, while it keeps it, and make dead letters of it.

    Of a source that sends garbage, the first thousand refusals a minute (SONGLO_SOURCE_LETTERS) become dead
    letters; of the rest only the places are noted. Fetched, they are letters like all others. May be run
    again at any time. Exit status 1 when Kafka no longer has some of them, or could not be read.

    \b
    songlo dlq fetch --stream camera --since 2h
    songlo dlq fetch --limit 1000
    """
    kafka = kafka_access(settings)
    with (
        closing(letters_of(settings)) as letters,
        closing(ClickHouseSink(native_server(settings))) as sink,
        Admin(kafka) as admin,
        LogReader(kafka) as reader,
    ):
        kept = Logs(admin, sink).kept
        fetcher = Fetcher(reader, sink, load_streams(), rules_of(settings), kept, _wanted(places))
        report = fetcher.fetch(letters.noted(selection), selection, limit or UNLIMITED)
    _tell(report, as_json=as_json)
    return FAILED if report.gone or report.failed else 0


class Logs:
    """What Kafka keeps of each partition, and of which epoch it is; each topic is asked for once."""

    def __init__(self, admin: Admin, sink: Sink) -> None:
        self._admin, self._sink = admin, sink
        self._of_topic = lru_cache(self._ask)

    def kept(self, topic: str, partition: int) -> Kept | None:
        """Of one partition; None when there is no such topic, or nothing of it was folded."""
        return self._of_topic(topic).get(partition)

    def _ask(self, topic: str) -> dict[int, Kept]:
        starts, ends = self._admin.starts([topic]), self._admin.ends([topic])
        progress = self._sink.progress(topic, [number for _, number in ends])
        return {
            number: Kept(starts[topic, number], end, progress[number].epoch)
            for (_, number), end in ends.items()
            if number in progress
        }


def _wanted(places: Places) -> Callable[[NotedMessage], frozenset[int]]:
    """Of a noted message the events that are named by their index, or all where it is left out."""
    named = set(places)

    def wanted(message: NotedMessage) -> frozenset[int]:
        at = message.place
        name = f"{at.topic}/{at.partition}/{at.offset}"
        if not named or name in named:
            return message.indexes
        return frozenset(index for index in message.indexes if f"{name}/{index}" in named)

    return wanted


def _tell(report: FetchReport, *, as_json: bool) -> None:
    if as_json:
        numbers = {"fetched": report.fetched, "gone": report.gone, "accepted": report.accepted}
        echo_json({**numbers, "failed": report.failed})
        return
    for failure in report.failed[:SHOWN]:
        click.echo(f"songlo: {failure}", err=True)
    if report.gone:
        click.echo(f"songlo: {report.gone:,} are no longer in Kafka, and stay noted", err=True)
    if report.accepted:
        click.echo(f"songlo: {report.accepted:,} would not be refused by this version", err=True)
    click.echo(f"{report.fetched:,} fetched; `songlo dlq list` shows them")
