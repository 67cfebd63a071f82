"""Marking dead letters of which nothing is to be made."""

from collections.abc import Iterable, Iterator
from itertools import islice

from sinks.letters import DISCARDED, Action, Letter, Letters

PORTION = 5000


def discard(found: Iterable[Letter], letters: Letters, because: str, now_ms: int) -> int:
    """Mark letters with the reason; how many they were. Nothing is deleted."""
    count, rest = 0, iter(found)
    while actions := list(islice(_actions(rest, because, now_ms), PORTION)):
        letters.mark(actions)
        count += len(actions)
    return count


def _actions(found: Iterator[Letter], because: str, now_ms: int) -> Iterator[Action]:
    for letter in found:
        # the newest action counts, also where another clock was ahead
        yield Action(letter.place, max(now_ms, letter.acted_ms + 1), DISCARDED, because)
