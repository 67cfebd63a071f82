"""How many elements a JSON array has, told without making values of them."""

import msgspec

_validate = msgspec.json.Decoder(msgspec.Raw).decode
_OPENS, _COMMA, _QUOTE = b'[,"'
# both kinds of brackets become one
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_REST = bytes(b for b in range(256) if b not in b'[]{},"')


def has_more_than(most: int, array: bytes) -> bool:
    """Whether an array has more than `most` elements (at least 1); takes the memory of a few copies of it.

    Raises what msgspec raises for broken JSON, and RecursionError for JSON that nests too deeply; arrays
    with few commas are not looked at, and may be broken.
    """
    if array.count(b",") < most:
        return False
    _validate(array)
    depth, commas, in_text = 0, 0, False
    # without escapes each quote begins or ends a text
    for sign in array.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_BRACKETS, _REST):
        if sign == _QUOTE:
            in_text = not in_text
        elif in_text:
            continue
        elif sign == _COMMA:
            commas += depth == 1
            if commas >= most:
                return True
        else:
            depth += 1 if sign == _OPENS else -1
    return False
