"""`songlo dlq replay`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import click

from infra.cli.common import FAILED, CommandError, echo_json, json_option, pass_settings
from infra.cli.dlq.options import Places, letters_of, named, selecting
from infra.kafka.lines import LineReader, lines
from infra.kafka.producer import Producer
from infra.operate.letters.patch import CorrectedEvent, CorrectionError, parse_patch, read_corrections
from infra.operate.letters.prepare import ReplayRules, Unsendable
from infra.operate.letters.replay import Corrected, ReplayReport, from_file, outcomes, patched, rehearse
from infra.operate.letters.replay import replay as send
from infra.operate.letters.text import correction_lines, report_json, report_lines
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from schemas.codec import Codec
from sinks.letters import REPLAYED, UNSETTLED, Place, Selection
from streams.registry import load_streams

Names = tuple[str, ...]


@click.command("replay")
@selecting
@click.option(
    "--set", "values", multiple=True, metavar="FIELD=VALUE", help="Set a field; VALUE is JSON or text."
)
@click.option("--unset", multiple=True, metavar="FIELD", help="Take a field away.")
@click.option(
    "--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Corrected events, as --save writes them.",
)  # fmt: skip
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the events to a file instead, to be corrected there.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Only so many, the oldest.")
@click.option("--again", is_flag=True, help="Also what was replayed before.")
@click.option("--apply", is_flag=True, help="Send; else it is only said what would be sent.")
@json_option
@pass_settings
def replay_letters(
    settings: Settings, selection: Selection, places: Places, values: Names, unset: Names,
    path: Path | None, save: Path | None, limit: int | None, again: bool, apply: bool, as_json: bool,
) -> int:  # fmt: skip
    """Send letters again, as they are or corrected: by a patch of fields, or by a file.

    Each event is checked, and sent with the key of its stream. What is still wrong is not sent (exit status
    1). What was replayed is not replayed again, unless --again is given; also then it counts once.

    \b
    songlo dlq replay --field plate --unset plate --apply
    songlo dlq replay --since 1d --save wrong.ndjson      # correct it there, then
    songlo dlq replay --file wrong.ndjson --apply
    """
    if path and (values or unset or save or limit or selection != Selection()):
        raise click.UsageError(
            "--file says itself which letters, and what to send: only --again goes with it"
        )
    if again and selection.states == UNSETTLED:
        selection = replace(selection, states=(*UNSETTLED, REPLAYED))
    try:
        patch = parse_patch(values, unset)
        corrections = _read(path) if path else {}
    except CorrectionError as e:
        raise CommandError(str(e)) from e
    with closing(letters_of(settings)) as letters, Producer(kafka_access(settings)) as producer:
        given: Iterator[Corrected | Unsendable]
        if path:
            given = from_file(letters, corrections, path.name)
        else:
            found = named(letters.find(selection, None if places else limit), places)
            given = patched(islice(found, limit), patch)
        outcome = outcomes(given, _rules(settings, producer, again=again))
        if save:
            return _save(correction_lines(outcome), save)
        report = send(outcome, letters, producer, _now_ms) if apply else rehearse(outcome)
    return _tell(report, applied=apply, as_json=as_json)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _read(path: Path) -> Mapping[Place, CorrectedEvent]:
    with path.open("rb") as file:
        return read_corrections(lines(file))


def _rules(settings: Settings, producer: Producer, *, again: bool) -> ReplayRules:
    specs, now_ms = load_streams(), _now_ms()
    latest_ms = now_ms + settings.skew_seconds * 1000

    @lru_cache
    def reader(stream: str) -> LineReader | None:
        spec = specs.get(stream)
        return LineReader(spec, Codec(spec.event), latest_ms) if spec else None

    return ReplayRules(reader, producer.partitions, again, now_ms)


def _save(texts: Iterator[bytes], path: Path) -> int:
    count = 0
    with path.open("wb") as file:
        for count, text in enumerate(texts, 1):  # noqa: B007 - wanted afterwards
            file.write(text)
    click.echo(
        f"{count:,} events written to {path}: correct them, then songlo dlq replay --file {path}", err=True
    )
    return 0


def _tell(report: ReplayReport, *, applied: bool, as_json: bool) -> int:
    if as_json:
        echo_json(report_json(report, applied=applied))
    else:
        out, err = report_lines(report, applied=applied)
        for text in out:
            click.echo(text)
        for text in err:
            click.echo(f"songlo: {text}", err=True)
    return FAILED if report.refused else 0
