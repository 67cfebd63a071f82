"""The filters that all commands of `songlo dlq` share."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import click

from infra.operate.reads import native_server
from infra.operate.times import moment_ms
from infra.settings.values import Settings
from sinks.letter_store import ClickHouseLetters
from sinks.letters import STATES, UNSETTLED, Letter, Letters, Selection

Command = Callable[..., Any]
Places = tuple[str, ...]
_FILTERS = ("stream", "topic", "reason", "field")


def selecting(function: Command) -> Command:
    """Give a command PLACEs and filters, as the parameters `selection` and `places`."""

    @click.argument("places", metavar="[PLACE]...", nargs=-1)
    @click.option("--stream", default="", help="Letters of one stream.")
    @click.option("--topic", default="", help="Letters of one topic.")
    @click.option("--reason", default="", metavar="TEXT", help="A part of the reason, whatever its case.")
    @click.option("--field", default="", help="The field that was refused.")
    @click.option("--since", default="", metavar="TIME", help="Appended at this time or later.")
    @click.option("--until", default="", metavar="TIME", help="Appended before this time.")
    @click.option("--state", type=click.Choice([*STATES, "all"]), help="[default: open and replaying]")
    @wraps(function)
    def with_selection(*args: Any, places: Places, **options: Any) -> Any:
        now_ms = time.time_ns() // 1_000_000
        given = {name: options.pop(name) for name in _FILTERS}
        since, until, state = (options.pop(name) for name in ("since", "until", "state"))
        try:
            selection = Selection(
                since_ms=moment_ms(since, now_ms) if since else None,
                until_ms=moment_ms(until, now_ms) if until else None,
                states=_states(state, places),
                messages=tuple(_message(place) for place in places),
                **given,
            )
        except ValueError as e:
            raise click.UsageError(str(e)) from e
        return function(*args, selection=selection, places=places, **options)

    return with_selection


def letters_of(settings: Settings) -> Letters:
    """The letters of the ClickHouse that is set."""
    return ClickHouseLetters(native_server(settings))


def named(letters: Iterable[Letter], places: Places) -> Iterator[Letter]:
    """Of the messages selected, the letters that are named by their index, or all where it is left out."""
    for letter in letters:
        place = str(letter.place)
        if not places or place in places or place.rpartition("/")[0] in places:
            yield letter


def _states(state: str | None, places: Places) -> tuple[str, ...]:
    if state and state != "all":
        return (state,)
    # letters that are named are wanted whatever their state
    return STATES if state or places else UNSETTLED


def _message(place: str) -> tuple[str, int, int]:
    topic, *numbers = place.split("/")
    if len(numbers) not in (2, 3) or not all(n.isdecimal() for n in numbers):
        raise ValueError(f"{place!r} is no PLACE: TOPIC/PARTITION/OFFSET or TOPIC/PARTITION/OFFSET/INDEX")
    return topic, int(numbers[0]), int(numbers[1])
