"""The late events of one partition that are not flushed yet."""

from streams.core.values import LateEvent

# what one weighs in memory until it is stored, and each character of its id and dimensions
LATE_BYTES, LATE_TEXT_BYTES = 1200, 4


class LateEvents:
    """Gathers them, and knows about how much memory they take."""

    __slots__ = ("_events", "bytes")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """None waits any more."""
        self._events: list[LateEvent] = []
        self.bytes = 0

    def add(self, late: LateEvent) -> None:
        """One more."""
        self._events.append(late)
        texts = len(late.event_id) + sum(len(value) for value in late.row if isinstance(value, str))
        self.bytes += LATE_BYTES + LATE_TEXT_BYTES * texts

    def take(self) -> list[LateEvent]:
        """Those that wait; they do not wait any more."""
        taken = self._events
        self.forget()
        return taken
