"""One open pane: the rows that grow in it, and the ids that it has counted."""

from array import array

from xxhash import xxh3_64_intdigest

from streams.core.aggregate import Total
from streams.core.values import ClosedPane

Key = tuple[str | None, ...]


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


def id_hash(event_id: str) -> int:
    """The 64-bit xxh3 of an id's UTF-8 bytes; never 0, which marks a pane's own row.

    Python's own hash would change with the process.
    """
    return xxh3_64_intdigest(event_id.encode()) or 1
