"""Dead letters and what is done about them: the values, and the seam to the store that has them.

A letter is `open` until an action gives it another state. It is marked `replaying` before it is sent again
and `replayed` after that: a crash in between leaves a letter of which it is known that it may have been sent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

OPEN, REPLAYING, REPLAYED, DISCARDED = STATES = ("open", "replaying", "replayed", "discarded")
UNSETTLED = (OPEN, REPLAYING)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a dead letter stands: TOPIC/PARTITION/OFFSET/INDEX, and the epoch of its topic."""

    topic: str
    partition: int
    offset: int
    index: int = 0
    epoch: int = 0

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}/{self.index}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter and its state. The fields from `acted_ms` on are of the last action, empty while open.

    `note` is the patch, or the reason of a discard; `sent` is the message that was sent, to `sent_partition`.
    """

    place: Place
    stream: str
    append_ms: int
    field: str
    reason: str
    raw: bytes
    state: str = OPEN
    acted_ms: int = 0
    note: str = ""
    sent: bytes = b""
    sent_partition: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which letters; empty fields select all. `reason` is a part of the reason, whatever its case.

    `since_ms` <= append time < `until_ms`. A message is (topic, partition, offset), with all its letters.
    """

    stream: str = ""
    topic: str = ""
    field: str = ""
    reason: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    states: Sequence[str] = UNSETTLED
    messages: Sequence[tuple[str, int, int]] = ()


@dataclass(frozen=True, slots=True)
class NotedMessage:
    """A message with refused events of which only the places are kept: the `indexes` that are no letters yet.

    `place` is that of the message; `source` names who had spent its share of dead letters.
    """

    place: Place
    stream: str
    append_ms: int
    source: str
    indexes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of one stream and field with one reason, but for numbers and quotes (`streams.core.shapes`).

    `example` is the newest of them.
    """

    stream: str
    field: str
    reason: str
    letters: int
    first_ms: int
    last_ms: int
    example: Place


@dataclass(frozen=True, slots=True)
class Action:
    """What is done about a letter; fields as in `Letter`. Of one letter's actions the newest counts."""

    place: Place
    at_ms: int
    state: str
    note: str
    sent: bytes = b""
    sent_partition: int = 0


class Letters(Protocol):
    """Dead letters of a store. Every method raises SinkError."""

    def count(self, selection: Selection) -> int:
        """How many there are."""

    def find(self, selection: Selection, limit: int | None = None) -> Iterator[Letter]:
        """The letters, in no order; with a limit the oldest, the oldest first."""

    def newest(self, selection: Selection, limit: int) -> list[Letter]:
        """The newest letters, the newest first."""

    def groups(self, selection: Selection, limit: int) -> list[Group]:
        """The largest groups by reason, the largest first."""

    def count_noted(self, selection: Selection) -> int:
        """How many events are only noted; field, reason and states select nothing of them."""

    def noted(self, selection: Selection) -> Iterator[NotedMessage]:
        """What is only noted, by epoch in the order of each partition's log; selected as in `count_noted`."""

    def mark(self, actions: Sequence[Action]) -> None:
        """Write actions; the same again changes nothing."""

    def close(self) -> None:
        """Leave the store."""
