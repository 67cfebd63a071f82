"""A message that needs a closer look: where it stands, and its bytes, taken apart at most once."""

from collections.abc import Sequence
from operator import itemgetter

from schemas.codec import Bundle, Refusal, raw_events
from schemas.event import Event


class Message:
    """One message off the hot path: a bundle, or an event that is late, refused, or opens a window."""

    __slots__ = ("_elements", "append_ms", "key", "offset", "value")

    def __init__(self, offset: int, append_ms: int, key: bytes | None, value: bytes | None) -> None:
        self.offset = offset
        self.append_ms = append_ms
        self.key = key
        self.value = value
        self._elements: Sequence[bytes] | None = None

    def raw(self, index: int) -> bytes:
        """The bytes of one event of it: of a bundle its element, else the whole."""
        if self._elements is None:
            self._elements = raw_events(self.value or b"")
        return self._elements[index]


def in_order(bundle: Bundle[Event]) -> list[tuple[int, Event | Refusal]]:
    """What is in a bundle by index, events and refusals."""
    refused: list[tuple[int, Event | Refusal]] = [(refusal.index, refusal) for refusal in bundle.refusals]
    return sorted([*bundle.events, *refused], key=itemgetter(0))
