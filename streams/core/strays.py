"""The strays of one partition that are not sent home yet, as the messages that they will travel in.

A message holds events of one home only, so that all of them are at home where it arrives.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import TypeVar

from schemas.codec import Codec
from schemas.event import Event
from streams.core.home import partition_of
from streams.core.values import Progress, StrayMessage
from streams.spec import StreamSpec

# a message of strays has at most about so many bytes, and so many events
MESSAGE_BYTES, MESSAGE_EVENTS = 64 * 1024, 1000
# a longer event is written anew, of its own fields alone: what else is in it might be too much to be sent
STRAY_BYTES = 16 * 1024
# what one weighs in memory beside its bytes
WEIGHT = 120

E = TypeVar("E", bound=Event)


class Strays:
    """Gathers them by home, in the order of the log, and knows about how much memory they take."""

    __slots__ = ("_by_home", "_most_events", "bytes")

    def __init__(self, most_events: int) -> None:
        self._by_home: dict[int, list[bytes]] = {}
        self._most_events = min(most_events, MESSAGE_EVENTS)
        self.bytes = 0

    def add(self, home: int, raw: bytes) -> None:
        """One more."""
        self._by_home.setdefault(home, []).append(raw)
        self.bytes += WEIGHT + len(raw)

    def take(self) -> list[StrayMessage]:
        """All of them as messages, by home; they do not wait any more."""
        taken, self._by_home, self.bytes = self._by_home, {}, 0
        return [m for home in sorted(taken) for m in _messages(home, taken[home], self._most_events)]


def home_finder(spec: StreamSpec, progress: Progress) -> Callable[[Event], int] | None:
    """Which partition an event belongs to; None where homes are not reckoned.

    Of a stream without repeats each event may count where it is.
    """
    if not (progress.homes and spec.dedupe):
        return None
    key_of, homes = attrgetter(spec.key), progress.homes
    return lambda event: partition_of((key_of(event) or "").encode(), homes)


def own_bytes(codec: Codec[E], event: E, raw: bytes) -> bytes:
    """The bytes by which a stray travels: those that it came in, unless they are too many."""
    return raw if len(raw) <= STRAY_BYTES else codec.encode(event)


def _messages(home: int, events: Iterable[bytes], most: int) -> Iterator[StrayMessage]:
    some, size = list[bytes](), 0
    for raw in events:
        if some and (size + len(raw) > MESSAGE_BYTES or len(some) == most):
            yield _message(home, some)
            some, size = [], 0
        some.append(raw)
        size += len(raw) + 1
    if some:
        yield _message(home, some)


def _message(home: int, events: list[bytes]) -> StrayMessage:
    return StrayMessage(home, b"[" + b",".join(events) + b"]", len(events))
