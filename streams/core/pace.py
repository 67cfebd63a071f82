"""How often to flush: as often as is asked for, but no more than the store can merge.

Each flush leaves parts in a table of the store, one for each month that it touches; a store that gets them
faster than it merges them slows down, and refuses inserts in the end.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from streams.core.values import Changes

# parts of one table that a worker may make in a second: ten flushes of the present month
PARTS_PER_S = 10
# the store is left alone for as long as it was busy
BUSY_TIMES = 2
MONTH_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Pace:
    """The time from a flush's start to the next one's, in seconds.

    `soonest_s` also holds while too much waits to read on: sooner would only pile up parts.
    """

    usual_s: float
    soonest_s: float


def pace(asked_s: float, longest_s: float, took_s: float = 0.0, parts: int = 0) -> Pace:
    """The pace after a flush that took so long and made so many parts in one table."""
    longest_s = max(asked_s, longest_s)
    soonest_s = min(parts / PARTS_PER_S, longest_s)
    return Pace(max(asked_s, soonest_s, min(took_s * BUSY_TIMES, longest_s)), soonest_s)


def parts(changes: Iterable[Changes]) -> int:
    """About how many parts the rows of one stream make: one for each month of their windows."""
    starts = set[int]()
    for c in changes:
        starts.update(c.rows.starts, c.late.rows.starts)
    return len({start // MONTH_S for start in starts})
