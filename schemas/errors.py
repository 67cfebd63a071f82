"""How an event is refused.

SchemaError
└── Refused   an event breaks a rule; names the field and says what was wrong
"""

import re

import msgspec

LONGEST_REASON = 300


class SchemaError(ValueError):
    """Something does not keep to the schemas."""


class Refused(SchemaError):
    """An event, or a whole message, that can't be taken.

    `field` is the name of the field at fault, '' where no field can be blamed; `reason` is one printable
    line of at most `LONGEST_REASON` characters, whatever the message held.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = _one_line(reason)
        super().__init__(f"{field}: {self.reason}" if field else self.reason)


def explain(error: Exception) -> Refused:
    """The refusal that an error of the decoder stands for."""
    if isinstance(error, msgspec.ValidationError):
        return _explain_validation(str(error))
    if isinstance(error, RecursionError):
        return Refused("", "JSON nested too deeply")
    if isinstance(error, msgspec.DecodeError):
        return Refused("", "broken JSON: " + _worded(str(error).removeprefix("JSON is malformed: ")))
    if isinstance(error, UnicodeDecodeError):
        return Refused("", f"not UTF-8: {error.reason} (byte {error.start})")
    return Refused("", str(error))


_PLACE = re.compile(r" - at `\$\.(\w+).*`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(\w+)`")
_WORDS = {
    "Input data was truncated": "it ends in the middle of a value",
    "Expected `datetime` with a timezone component": "a time without an offset from UTC",
    "Invalid RFC3339 encoded datetime": "neither epoch milliseconds nor RFC 3339 text",
    "`int | datetime`": "epoch milliseconds or RFC 3339 text",
    "`int | datetime | null`": "epoch milliseconds or RFC 3339 text",
    "`object`": "a JSON object",
}


def _explain_validation(text: str) -> Refused:
    if missing := _MISSING.match(text):
        return Refused(missing[1], "missing, but required")
    if place := _PLACE.search(text):
        return Refused(place[1], _worded(text[: place.start()]))
    return Refused("", _worded(text))


def _worded(text: str) -> str:
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:].replace("`", "")


def _one_line(text: str) -> str:
    """The text, printable and cut: parts of it may come from a message."""
    if len(text) > LONGEST_REASON:
        text = text[: LONGEST_REASON - 1] + "…"
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
