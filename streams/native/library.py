"""The compiled fold as functions; see c/ for what each does."""

from ctypes import POINTER, PyDLL, Structure, c_char_p, c_int, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from streams.native.tables import StreamTable

DONE, HANDED_OVER, CORRUPT = range(3)
FOLDED, LATE, TOO_EARLY = range(3)


class Shared(Structure):
    """The part of a state that both sides read and write without a call."""

    _fields_ = tuple(
        (name, c_int64)
        for name in (
            "position", "end", "replaying", "watermark_ms", "max_event_ms", "max_append_ms",
            "folded", "duplicates", "waiting", "closed", "closed_ids", "panes", "at", "index",
            "offset", "value_at", "value_size", "item", "bytes",
        )
    )  # fmt: skip


class Library:
    """Loads the library; raises OSError when it can't be, AttributeError when it is another version's.

    The calls keep Python's lock: they last microseconds to a millisecond, and getting the lock back can
    take longer than that.
    """

    def __init__(self, path: Path) -> None:
        dll = PyDLL(str(path))
        self.new = _function(dll.songlo_new, c_void_p, POINTER(StreamTable))
        self.free = _function(dll.songlo_free, None, c_void_p)
        self.fold = _function(dll.songlo_fold, c_int, c_void_p, c_char_p, c_int64, c_int64, c_int64, c_int64)
        self.add = _function(
            dll.songlo_add, c_int, c_void_p, c_int64, c_int64, c_uint64, c_uint64, c_char_p, c_char_p
        )
        self.close_panes = _function(dll.songlo_close_panes, None, c_void_p)
        self.first_offset = _function(dll.songlo_first_offset, c_int64, c_void_p, c_int64)
        self.sizes = _function(dll.songlo_sizes, None, c_void_p, c_void_p)
        self.rows = _function(dll.songlo_rows, None, c_void_p, c_int64, c_void_p)
        self.closed = _function(
            dll.songlo_closed, c_int64, c_void_p, c_int64, POINTER(c_int64), POINTER(c_void_p)
        )
        self.flushed = _function(dll.songlo_flushed, None, c_void_p)
        self.hash = _function(dll.songlo_hash, c_uint64, c_char_p, c_int64)


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function
