"""The compiled fold as functions; see c/ for what each does."""

from ctypes import POINTER, PyDLL, Structure, byref, c_bool, c_char_p, c_int, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from schemas.fields import Kind
from streams.core.parts import PartKind
from streams.core.strays import MESSAGE_BYTES, MESSAGE_EVENTS, STRAY_BYTES
from streams.core.values import OFFSET_BITS
from streams.native import tables
from streams.native.build import SOURCE, source_version
from streams.native.layout import check_layout
from streams.native.tables import ConditionTable, FieldTable, MeasureTable, StreamTable

DONE, HANDED_OVER, UNREAD, CORRUPT, ENOUGH = range(5)
FOLDED, LATE, TOO_EARLY, STRAY = range(4)
# the columns of late events, in the order of the library
LATE_START, LATE_ID, LATE_OFFSET, LATE_INDEX, LATE_OCCURRED, LATE_APPEND, LATE_COLUMNS = range(7)


class Shared(Structure):
    """The part of a state that both sides read and write without a call."""

    _fields_ = tuple(
        (name, c_int64)
        for name in (
            "position", "end", "limit", "enough", "row_bytes", "late_bytes", "replaying",
            "watermark_ms", "max_event_ms", "max_append_ms", "folded", "duplicates", "late",
            "waiting", "late_waiting", "closed", "closed_ids", "panes", "batch", "at", "index", "delta",
            "offset", "append_ms", "key_at", "key_size", "value_at", "value_size", "item",
            "bytes", "kept", "spread", "flush",
            "homes", "partition", "forward", "strays", "away", "straying", "stray_bytes", "home",
        )
    )  # fmt: skip


STRUCTURES = {
    "shared": Shared,
    "field_rule": FieldTable,
    "condition_rule": ConditionTable,
    "measure_rule": MeasureTable,
    "stream_rule": StreamTable,
}
# the names are C's
CONSTANTS = {
    **{kind.name: kind.value for kind in Kind},
    "REQUIRED": tables.REQUIRED, "NULLABLE": tables.NULLABLE, "DEFAULT": tables.DEFAULT,
    "MEASURED": tables.MEASURED,
    "EVENT": tables.EVENT, "SCALED": tables.SCALED, "ELAPSED": tables.ELAPSED,
    **{part.name: part.value for part in PartKind},
    "IS": tables.IS, "HAS": tables.HAS, "NOT_AFTER": tables.NOT_AFTER, "AFTER": tables.AFTER,
    "DONE": DONE, "HANDED_OVER": HANDED_OVER, "UNREAD": UNREAD, "CORRUPT": CORRUPT, "ENOUGH": ENOUGH,
    "FOLDED": FOLDED, "LATE": LATE, "TOO_EARLY": TOO_EARLY, "STRAY": STRAY,
    "MESSAGE_BYTES": MESSAGE_BYTES, "MESSAGE_EVENTS": MESSAGE_EVENTS, "STRAY_BYTES": STRAY_BYTES,
    "LATE_START": LATE_START, "LATE_ID": LATE_ID, "LATE_OFFSET": LATE_OFFSET, "LATE_INDEX": LATE_INDEX,
    "LATE_OCCURRED": LATE_OCCURRED, "LATE_APPEND": LATE_APPEND, "LATE_COLUMNS": LATE_COLUMNS,
    "OFFSET_BITS": OFFSET_BITS,
}  # fmt: skip


class Library:
    """Loads the library; raises OSError when it can't be, LayoutError when it is another version's.

    The calls keep Python's lock: they last microseconds to a millisecond, and getting the lock back can
    take longer than that.
    """

    def __init__(self, path: Path, source: Path = SOURCE) -> None:
        dll = PyDLL(str(path))
        check_layout(dll, source_version(source), STRUCTURES, CONSTANTS)
        self.new = _function(dll.songlo_new, c_void_p, POINTER(StreamTable))
        self.free = _function(dll.songlo_free, None, c_void_p)
        self.fold = _function(dll.songlo_fold, c_int, c_void_p, c_char_p, c_int64)
        self._run = _function(
            dll.songlo_run, c_int64, c_char_p, c_int64, c_int64, c_int64, c_int64, POINTER(c_int64)
        )
        self.add = _function(
            dll.songlo_add,
            c_int,
            c_void_p,
            c_int64,
            c_int64,
            c_int64,
            c_uint64,
            c_uint64,
            c_char_p,
            c_char_p,
        )
        self.close_until = _function(dll.songlo_close_until, None, c_void_p, c_int64)
        self.close_panes = _function(dll.songlo_close_panes, None, c_void_p)
        self.stray = _function(dll.songlo_stray, None, c_void_p, c_char_p, c_int64, c_int64, c_int64)
        self.strays = _function(dll.songlo_strays, c_int64, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)
        self.first_offset = _function(dll.songlo_first_offset, c_int64, c_void_p, c_int64)
        self.sizes = _function(dll.songlo_sizes, None, c_void_p, c_bool, c_void_p)
        self.rows = _function(dll.songlo_rows, c_bool, c_void_p, c_bool, c_int64, c_void_p, c_void_p)
        self.words = _function(
            dll.songlo_words, c_int64, c_void_p, c_int, POINTER(c_void_p), POINTER(c_int64)
        )
        self.highs = _function(dll.songlo_highs, None, c_void_p, c_bool, c_void_p)
        self.late = _function(dll.songlo_late, c_int64, c_void_p, c_void_p)
        self.starts = _function(dll.songlo_starts, c_int64, c_void_p, c_void_p, c_int64)
        self.closed = _function(
            dll.songlo_closed, c_int64, c_void_p, c_int64, POINTER(c_int64), POINTER(c_void_p)
        )
        self.flushed = _function(dll.songlo_flushed, None, c_void_p)
        self.hash = _function(dll.songlo_hash, c_uint64, c_char_p, c_int64)

    def run(self, data: bytes, at: int, most: int, stops: int) -> tuple[int, int]:
        """The end of the record batches from byte `at` on that can be folded as they are; their next offset.

        They are whole, their checksums are right, they have none of the attributes `stops`, and together at
        most `most` bytes unless there is only one. `at` where there are none: the batch there needs a closer
        look, or this processor computes no checksums.
        """
        next_offset = c_int64()
        end: int = self._run(data, len(data), at, most, stops, byref(next_offset))
        return end, next_offset.value


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function
