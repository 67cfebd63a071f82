"""A reason without what differs from refusal to refusal: numbers, and what a message held."""

import re
from functools import lru_cache

# what makes two reasons differ that are the same mistake
QUOTED, QUOTES = r"\B'[^']*'\B", "'…'"
# not the 8 of UTF-8
NUMBER, NUMBERS = r"(^|[^\w-])-?[0-9][0-9.,]*", r"\1#"
# from the first quote to the last: a quote inside of what a message held ends nothing
_PAYLOAD = re.compile(r"(?<!\w)['\"].*['\"]", re.DOTALL)


@lru_cache(maxsize=1024)
def shape(reason: str) -> str:
    """The reason with numbers as # and quoted texts as '…'."""
    return re.sub(NUMBER, NUMBERS, re.sub(QUOTED, QUOTES, reason, flags=re.ASCII), flags=re.ASCII)


@lru_cache(maxsize=1024)
def safe_shape(reason: str) -> str:
    """The shape without anything that stood between quotes, whatever quotes stood in it: for logs."""
    return shape(_PAYLOAD.sub(QUOTES, reason))


def longest_piece(text: str) -> str:
    """The longest part of a shape that stands in each of its reasons as it is; '' when there is none."""
    return max(re.split(r"['\"]…['\"]|#", text), key=len).strip()
