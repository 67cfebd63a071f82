"""Bytes whose memory is written after they were made: filling megabytes with zeros first costs as much."""

from ctypes import PYFUNCTYPE, c_char_p, c_int, c_ssize_t, c_void_p, cast, py_object, pythonapi

# of Python's C interface, which lets whoever made an object of bytes write it until anybody else has it
_new_bytes = PYFUNCTYPE(py_object, c_void_p, c_ssize_t)(("PyBytes_FromStringAndSize", pythonapi))
_view = PYFUNCTYPE(py_object, c_void_p, c_ssize_t, c_int)(("PyMemoryView_FromMemory", pythonapi))
WRITABLE = 0x200


def unfilled(size: int) -> tuple[bytes, int]:
    """Bytes, and the address to write them at before anybody else gets to see them."""
    block: bytes = _new_bytes(None, size)
    return block, cast(c_char_p(block), c_void_p).value or 0


def window(address: int, size: int) -> memoryview:
    """A view to write memory through; it must not outlive the memory."""
    view: memoryview = _view(address, size, WRITABLE)
    return view
