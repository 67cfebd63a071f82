"""One open pane: the rows that grow in it, and the ids that it has counted."""

from array import array

from xxhash import xxh3_64_intdigest

from streams.core.aggregate import Total
from streams.core.values import ClosedPane

Key = tuple[str | None, ...]

# what the parts of a pane weigh in memory, measured over many
PANE_BYTES, ROW_BYTES, ID_BYTES, GATHERED_BYTES = 600, 700, 100, 500
KEPT_PANE_BYTES, KEPT_ROW_BYTES = 350, 700


class Pane:
    """A half-open window `[start, end)` of one partition, until the watermark passes its end."""

    __slots__ = ("end_ms", "first_offset", "ids", "rows", "start_ms")

    def __init__(self, start_ms: int, end_ms: int, first_offset: int) -> None:
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.first_offset = first_offset
        self.rows: dict[Key, Total] = {}
        self.ids: set[int] = set()

    def closed(self) -> ClosedPane:
        """What has to outlive the pane: its ids, sorted."""
        return ClosedPane(self.start_ms, array("Q", sorted(self.ids)))

    def forget(self) -> None:
        """Let go of what is only for an open pane; rows that wait are held elsewhere too."""
        self.rows, self.ids = {}, set()


def held_bytes(pane: Pane) -> int:
    """About what an open pane weighs, without the events that have gathered."""
    return PANE_BYTES + len(pane.rows) * ROW_BYTES + len(pane.ids) * ID_BYTES


def kept_bytes(pane: Pane, waiting: int) -> int:
    """About what remains of a closed pane of which so many rows wait."""
    return KEPT_PANE_BYTES + waiting * KEPT_ROW_BYTES + len(pane.ids) * 8


def id_hash(event_id: str) -> int:
    """The 64-bit xxh3 of an id's UTF-8 bytes; never 0, which marks a pane's own row.

    Python's own hash would change with the process.
    """
    return xxh3_64_intdigest(event_id.encode()) or 1
