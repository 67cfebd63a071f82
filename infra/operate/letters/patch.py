"""Corrections of dead letters: a patch of fields for all of them, or a file with an event for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from sinks.letters import Place


class CorrectionError(ValueError):
    """A correction that can't be used; says what is wrong."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Fields to set and fields to take away; without any, a letter is sent as it is."""

    values: Mapping[str, Any] = field(default_factory=dict)
    gone: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What is stored of it: JSON, '' for none."""
        parts = {"set": dict(self.values), "unset": list(self.gone)}
        told = {name: part for name, part in parts.items() if part}
        return orjson.dumps(told).decode() if told else ""

    def applied(self, raw: bytes) -> bytes:
        """The corrected message; raises CorrectionError where it is no JSON object."""
        if not self.values and not self.gone:
            return raw
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            raise CorrectionError("is no JSON object, so it has no fields to set: correct it by --file")
        kept = {name: value for name, value in event.items() if name not in self.gone}
        return orjson.dumps(kept | dict(self.values))


def parse_patch(settings: Iterable[str], gone: Iterable[str]) -> Patch:
    """A patch from `field=value` texts and names of fields.

    A value is JSON; what is none counts as text, so `kind=vehicle` needs no quotes. Raises CorrectionError.
    """
    values = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise CorrectionError(f"{setting!r}: write field=value")
        try:
            values[name] = orjson.loads(text)
        except orjson.JSONDecodeError:
            values[name] = text
    patch = Patch(values, tuple(gone))
    if both := values.keys() & set(patch.gone):
        raise CorrectionError(f"{', '.join(sorted(both))}: both set and unset")
    return patch


@dataclass(frozen=True, slots=True)
class CorrectedEvent:
    """One line of a file: what to send for the letter at a place; None where nothing is said yet.

    Without an epoch it is for the letters of that place in every epoch of the topic.
    """

    line: int
    place: Place
    epoch: int | None
    value: bytes | None


def read_corrections(lines: Iterable[tuple[int, bytes]]) -> dict[Place, CorrectedEvent]:
    """The corrections of a file by place (there with epoch 0), one JSON object in each line.

    Raises CorrectionError that names the line.
    """
    found: dict[Place, CorrectedEvent] = {}
    for number, line in lines:
        if not line.strip():
            continue
        correction = _correction(number, line)
        if correction.place in found:
            first = found[correction.place].line
            raise CorrectionError(f"line {number}: {correction.place} stands in line {first} too")
        found[correction.place] = correction
    return found


def _correction(number: int, line: bytes) -> CorrectedEvent:
    try:
        said = orjson.loads(line)
        place = Place(said["topic"], said["partition"], said["offset"], said.get("index", 0))
        event, epoch = said.get("event"), said.get("epoch")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise CorrectionError(
            f'line {number}: expected {{"topic": …, "partition": …, "offset": …, "index": …, "event": {{…}}}}'
        ) from None
    whole = (place.partition, place.offset, place.index, 0 if epoch is None else epoch)
    if not isinstance(place.topic, str) or not all(type(n) is int for n in whole):
        raise CorrectionError(f"line {number}: topic must be text; partition, offset and index whole numbers")
    if event is not None and not isinstance(event, dict | list):
        raise CorrectionError(f"line {number}: event must be an object, or an array of them")
    return CorrectedEvent(number, place, epoch, None if event is None else orjson.dumps(event))
