"""Events whose pane had closed when they came, by columns; and how the plain fold gathers them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from streams.core.packed import selected
from streams.core.rows import Row, Rows

# Where an event stands in its partition: (offset of its message, index in its message).
Position = tuple[int, int]

# what one weighs in memory until it is stored, and each character of its id and dimensions
LATE_BYTES, LATE_TEXT_BYTES = 1200, 4


@dataclass(frozen=True, slots=True)
class LateEvent:
    """An event whose pane had closed when it came; `row` is what it adds, as a row of its own."""

    window_start_ms: int
    id: int
    event_id: str
    occurred_ms: int
    append_ms: int
    position: Position
    row: Row


@dataclass(frozen=True, slots=True)
class LateEvents:
    """Late events by columns of equal length, in the order of the log; a sequence of `LateEvent` to others.

    `rows` are their own rows, with each one's id as `late_id`. The other columns are lists, or `Packed`.
    """

    rows: Rows = field(default_factory=Rows)
    starts_ms: Sequence[int] = ()
    ids: Sequence[int] = ()
    event_ids: Sequence[str] = ()
    occurred_ms: Sequence[int] = ()
    append_ms: Sequence[int] = ()
    offsets: Sequence[int] = ()
    indexes: Sequence[int] = ()

    @classmethod
    def of(cls, events: Iterable[LateEvent]) -> "LateEvents":
        """The same events by columns."""
        rows, *columns = [*zip(*map(_flat, events), strict=True)] or [()]
        return cls(Rows.of(rows), *map(list, columns))

    @property
    def columns(self) -> list[Sequence[Any]]:
        """All but those of the rows."""
        return [getattr(self, field.name) for field in fields(self)[1:]]

    def select(self, kept: bytes | bytearray) -> "LateEvents":
        """Those whose byte of `kept` is 1 and not 0; packed columns remain packed."""
        if 0 not in kept:
            return self
        if 1 not in kept:
            return LateEvents()
        rows = Rows(tuple(selected(column, kept) for column in self.rows.columns))
        return LateEvents(rows, *(selected(column, kept) for column in self.columns))

    def __len__(self) -> int:
        """How many they are."""
        return len(self.ids)

    def __iter__(self) -> Iterator[LateEvent]:
        """One by one."""
        *columns, offsets, indexes = self.columns
        positions = zip(offsets, indexes, strict=True)
        for event in zip(*columns, positions, self.rows, strict=True):
            yield LateEvent(*event)


def _flat(e: LateEvent) -> tuple[Any, ...]:
    return (e.row, e.window_start_ms, e.id, e.event_id, e.occurred_ms, e.append_ms, *e.position)


class GatheredLate:
    """Gathers them one by one, and knows about how much memory they take."""

    __slots__ = ("_events", "bytes")

    def __init__(self) -> None:
        self._events: list[LateEvent] = []
        self.bytes = 0

    def add(self, late: LateEvent) -> None:
        """One more."""
        self._events.append(late)
        texts = len(late.event_id) + sum(len(value) for value in late.row if isinstance(value, str))
        self.bytes += LATE_BYTES + LATE_TEXT_BYTES * texts

    def take(self) -> LateEvents:
        """Those that wait; they do not wait any more."""
        taken = LateEvents.of(self._events)
        self._events, self.bytes = [], 0
        return taken
