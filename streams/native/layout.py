"""Compares what Python and the compiled fold share when it is loaded, so that no difference counts wrongly.

Shared are the version of the source, the structures that both sides read (size, place and type of each field)
and the constants. Python's side is read from its ctypes structures, C's is told by the library (c/layout.h).
"""

from collections.abc import Iterator, Mapping
from ctypes import Structure, c_double, c_int64, create_string_buffer, sizeof
from typing import Any

# the answer of songlo_layout is a tenth of this
ROOM = 1 << 16
# of the differences, so many are named
TOLD = 3


class LayoutError(Exception):
    """A library and the Python code that loads it do not belong together; says where they differ."""


def check_layout(
    dll: Any, version: str, structures: Mapping[str, type[Structure]], constants: Mapping[str, int]
) -> None:
    """Raises LayoutError unless the library has this version, and exactly these structures and constants."""
    its_version, its = _told_by(dll)
    ours = dict(_described(structures, constants))
    differences = [] if its_version == version else [f"its version is {its_version}, not {version}"]
    for name in sorted(ours.keys() | its.keys()):
        here, there = ours.get(name, "nothing"), its.get(name, "nothing")
        if here != there:
            differences.append(f"{name} is {here} to Python, {there} to it")
    if differences:
        more = f"; and {len(differences) - TOLD} more" if len(differences) > TOLD else ""
        raise LayoutError("; ".join(differences[:TOLD]) + more)


def _told_by(dll: Any) -> tuple[str, dict[str, str]]:
    """The version of the library, and what it tells of each name."""
    try:
        tell = dll.songlo_layout
    except AttributeError:
        raise LayoutError("it has no songlo_layout, as all versions since the check have") from None
    tell.restype, text = c_int64, create_string_buffer(ROOM)
    if tell(text, c_int64(ROOM)) >= ROOM:
        raise LayoutError(f"what it shares takes more than {ROOM} bytes to tell")
    version, *lines = text.value.decode().splitlines()
    return version, {name: _words(*rest) for name, *rest in map(str.split, lines)}


def _described(
    structures: Mapping[str, type[Structure]], constants: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """The same of Python's side."""
    for of, structure in structures.items():
        yield of, _words("s", sizeof(structure), 0)
        # ctypes would allow bit fields, of three parts; there are none
        for field, kind in structure._fields_:  # type: ignore[misc]
            where = getattr(structure, field)
            yield f"{of}.{field}", _words(_kind(kind), where.size, where.offset)
    for name, value in constants.items():
        yield name, _words("v", 0, value)


def _kind(kind: Any) -> str:
    """f: floating point, i and u: signed and unsigned integers, p: pointers."""
    if kind is c_double:
        return "f"
    # of an integer a letter, capital when it is unsigned
    if kind._type_ in ("b", "h", "i", "l", "q"):
        return "i"
    return "u" if kind._type_ in ("B", "H", "I", "L", "Q") else "p"


def _words(kind: str, size: object, at: object) -> str:
    match kind:
        case "v":
            return f"{at}"
        case "s":
            return f"{size} bytes"
    names = {"f": "a float", "i": "a signed integer", "u": "an unsigned integer", "p": "a pointer"}
    return f"{names[kind]} of {size} bytes at {at}"
