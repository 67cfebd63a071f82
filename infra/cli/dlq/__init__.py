"""`songlo dlq`."""

import sys
import time
from contextlib import closing

import click

from infra.cli.common import CommandError, echo_json, json_option, pass_settings
from infra.cli.dlq.fetch import fetch_letters
from infra.cli.dlq.options import Places, letters_of, named, selecting
from infra.cli.dlq.replay import replay_letters
from infra.operate.letters.discard import discard
from infra.operate.letters.text import as_json as letter_json
from infra.operate.letters.text import group_json, group_lines, letter_lines, whole
from infra.settings.values import Settings
from sinks.letters import Selection

_FEW = 20


@click.group()
def command() -> None:
    """Look at dead letters, correct them and send them again.

    A dead letter is an event, or a whole message, that was refused. It is `open` until it is replayed or
    discarded; nothing is ever deleted. Of a source that sends much garbage some are only noted: `fetch` makes
    dead letters of them. PLACE is TOPIC/PARTITION/OFFSET, and /INDEX for an event of a bundle.
    TIME is 30m, 2h or 3d ago, or 2025-05-01T08:30, in Vietnam.

    \b
    songlo dlq list --since 2h
    songlo dlq show camera.events/2/1234
    songlo dlq replay --field kind --set kind=vehicle
    """


@command.command("list")
@selecting
@click.option("--limit", type=click.IntRange(1), help=f"List single letters, so many. [default: {_FEW}]")
@json_option
@pass_settings
def list_letters(
    settings: Settings, selection: Selection, places: Places, limit: int | None, as_json: bool
) -> None:
    """What was refused: a line for each letter, or for each reason when there are many.

    The newest letters come first, and the most frequent reasons.
    """
    with closing(letters_of(settings)) as letters:
        total, noted = letters.count(selection), letters.count_noted(selection)
        single = limit is not None or total <= _FEW
        found = list(named(letters.newest(selection, limit or _FEW), places)) if single or as_json else []
        groups = letters.groups(selection, _FEW) if as_json or not single else []
    if as_json:
        shown = {"groups": [group_json(g) for g in groups], "letters": [letter_json(x) for x in found]}
        echo_json({"total": total, "noted": noted, **shown})
        return
    if not total:
        click.echo("no dead letters")
    else:
        click.echo("\n".join(letter_lines(found) if single else group_lines(groups)))
        rest = (
            ""
            if single and total <= len(found)
            else "; --limit lists single ones, `dlq show PLACE` shows one"
        )
        click.echo(f"{total:,} dead letter{'s' if total != 1 else ''}{rest}")
    if noted:
        click.echo(f"{noted:,} more are noted in the log: songlo dlq fetch")


@command.command("show")
@selecting
@click.option("--raw", is_flag=True, help="Write the bytes of the one letter, and nothing else.")
@json_option
@pass_settings
def show_letters(settings: Settings, selection: Selection, places: Places, raw: bool, as_json: bool) -> None:
    """All that is known of letters: place, reason, state, and the bytes with what is unprintable escaped."""
    if not places:
        raise click.UsageError("name the letters to show: PLACE …, as `songlo dlq list` has them")
    with closing(letters_of(settings)) as letters:
        found = sorted(named(letters.find(selection), places), key=lambda letter: letter.place)
    if not found:
        raise CommandError(f"no dead letter at {', '.join(places)}")
    if raw and len(found) > 1:
        raise CommandError(f"--raw writes one letter, these are {len(found)}: name one with its index")
    if raw:
        sys.stdout.buffer.write(found[0].raw)
        sys.stdout.buffer.flush()
    elif as_json:
        echo_json([letter_json(letter) for letter in found])
    else:
        click.echo("\n".join(line for letter in found for line in whole(letter)))


@command.command("discard")
@selecting
@click.option("--because", required=True, metavar="TEXT", help="Why nothing is to be done about them.")
@click.option("--all", "everything", is_flag=True, help="All letters that are open.")
@json_option
@pass_settings
def discard_letters(
    settings: Settings, selection: Selection, places: Places, because: str, everything: bool, as_json: bool
) -> None:
    """Mark letters as discarded: they are kept, and no longer listed.

    `songlo dlq list --state discarded` lists them, and they can still be replayed.
    """
    if not because.strip():
        raise click.UsageError("--because must say why")
    if selection == Selection() and not everything:
        raise click.UsageError("say which letters by PLACE or filters, or --all")
    with closing(letters_of(settings)) as letters:
        count = discard(named(letters.find(selection), places), letters, because, time.time_ns() // 1_000_000)
    if as_json:
        echo_json({"discarded": count})
    else:
        click.echo(f"{count:,} dead letter{'s' if count != 1 else ''} discarded")


command.add_command(replay_letters)
command.add_command(fetch_letters)
