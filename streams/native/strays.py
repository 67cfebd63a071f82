"""The strays that wait in fold.c, as the messages that they will travel in."""

from array import array
from ctypes import c_char
from typing import Any

from streams.core.values import StrayMessage
from streams.native.library import Library


def take_strays(library: Library, state: Any, shared: Any) -> list[StrayMessage]:
    """All of them by home; they stay there until the state is told that all is flushed."""
    count = shared.straying
    if not count:
        return []
    block = bytearray(shared.stray_bytes + 2 * count)
    text = (c_char * len(block)).from_buffer(block)
    homes, ends, events = (array("q", bytes(8 * count)) for _ in range(3))
    number = library.strays(state, text, *(each.buffer_info()[0] for each in (homes, ends, events)))
    starts = (0, *ends[: number - 1])
    return [StrayMessage(homes[i], bytes(block[starts[i] : ends[i]]), events[i]) for i in range(number)]
