"""Whether a dead letter can be sent again, as what, and where to: decided without sending anything.

What is sent must count once, whatever happened before. An event counts once at its home, by its id and its
time, so it goes there, wherever its own message went; and what may have been sent before is only sent again
as the same event to the same partition.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from infra.kafka.lines import LineMessage, LineReader
from infra.operate.times import clock_text
from schemas.codec import Bundle, Codec
from schemas.event import Event
from sinks.letters import REPLAYED, REPLAYING, Letter
from streams.core.home import partition_of
from streams.core.pane import id_hash

DAY_MS = 86_400_000
# ids of closed windows are kept for seven days from their closing; one day for clocks, and for the way
SAFE_DAYS = 6


@dataclass(frozen=True, slots=True)
class Sendable:
    """What is to be sent for a letter, `value`; `note` says by which correction.

    It is sent as these `messages`, one for each home of its events; `partition` is the home of the first.
    """

    letter: Letter
    value: bytes
    partition: int
    note: str
    ids: tuple[int, ...]
    messages: Sequence[LineMessage]


@dataclass(frozen=True, slots=True)
class Unsendable:
    """Why a letter is not sent."""

    letter: Letter
    value: bytes
    field: str
    reason: str

    @property
    def why(self) -> str:
        """The field and the reason."""
        return f"{self.field}: {self.reason}" if self.field else self.reason

    def __str__(self) -> str:
        return f"{self.letter.place}: {self.why}"


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """What holds for all letters of one replay; `again` sends also what was replayed before."""

    readers: Callable[[str], LineReader | None]
    partitions: Callable[[str], int]
    again: bool
    now_ms: int


def prepare(letter: Letter, value: bytes, note: str, rules: ReplayRules) -> Sendable | Unsendable:
    """The message for a letter's value, or why there is none."""
    reader = rules.readers(letter.stream)
    if reader is None or reader.spec.topic != letter.place.topic:
        return Unsendable(
            letter, value, "", f"stream {letter.stream} has no topic {letter.place.topic} any more"
        )
    message = reader.read(0, value)
    if message is None:
        return Unsendable(letter, value, "", "is blank")
    if isinstance(message, list):
        first = message[0]
        return Unsendable(letter, value, first.field, first.reason)
    home = partial(partition_of, partitions=rules.partitions(letter.place.topic))
    events = _events(reader.codec, value)
    ids = tuple(id_hash(event_id) for event_id, _ in events)
    sendable = Sendable(letter, value, home(message.key), note, ids, message.at_home(home))
    reason = _may_count_twice(sendable, reader, rules)
    return Unsendable(letter, value, "", reason) if reason else sendable


def _may_count_twice(new: Sendable, reader: LineReader, rules: ReplayRules) -> str:
    """Why it might, '' when it can't: only letters that were sent, or may have been, can count twice."""
    letter = new.letter
    if letter.state not in (REPLAYED, REPLAYING):
        return ""
    when = clock_text(letter.acted_ms)
    if letter.state == REPLAYED and not rules.again:
        return f"was replayed on {when}; --again sends it once more, and it still counts once"
    if not reader.spec.dedupe:
        return f"may have been sent on {when}, and its stream does not tell repeated events apart"
    if rules.now_ms - letter.acted_ms > SAFE_DAYS * DAY_MS:
        return f"was sent on {when}: ids are kept for 7 days, so it might count twice by now"
    if set(_events(reader.codec, letter.sent)) != set(_events(reader.codec, new.value)):
        return f"was sent on {when} with another event_id or occurred_at, so it would count twice"
    if letter.sent_partition != new.partition:
        places = f"partition {letter.sent_partition}, not {new.partition}"
        return f"was sent on {when} to {places}, so it would count twice"
    return ""


def _events(codec: Codec[Event], value: bytes) -> list[tuple[str, int]]:
    """Id and time of each event of a message."""
    decoded = codec.decode(value)
    events = [event for _, event in decoded.events] if isinstance(decoded, Bundle) else [decoded]
    return [(event.event_id, event.occurred_at) for event in events]
