"""How many elements a JSON array has, told without making values of them."""

import re

import msgspec

_validate = msgspec.json.Decoder(msgspec.Raw).decode
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OPENS, _COMMA = b"[,"
# both kinds of brackets become one
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_REST = bytes(b for b in range(256) if b not in b"[]{},")


def has_more_than(most: int, array: bytes) -> bool:
    """Whether an array has more than `most` elements; its memory is that of a few copies of the bytes.

    Raises what msgspec raises for broken JSON, and RecursionError for JSON that nests too deeply; arrays
    with few commas are not looked at, and may be broken.
    """
    if array.count(b",") < most:
        return False
    _validate(array)
    depth, commas = 0, 0
    for sign in _STRING.sub(b"", array).translate(_BRACKETS, _REST):
        if sign == _COMMA:
            commas += depth == 1
            if commas >= most:
                return True
        else:
            depth += 1 if sign == _OPENS else -1
    return False
