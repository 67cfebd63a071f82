"""Cutting an insert to what the server takes: rows, bytes, and months (partitions of a table)."""

import time
from collections.abc import Iterator, Sequence
from itertools import count

MAX_ROWS = 100_000
MAX_BYTES = 32 * 2**20
# tables are partitioned by month: an insert makes as many parts, and one that takes too long is given up
# and made again, for ever; the server itself takes 100
MAX_MONTHS = 30

# the month of a partition is that of Asia/Ho_Chi_Minh, which has kept this offset since 1975
_ZONE_S = 7 * 3600
# rows of no more time than this are of few enough months
SHORT_S = 27 * 28 * 86_400


def batches(seconds: Sequence[int], sizes: Sequence[int] | None = None) -> Iterator[Sequence[int]]:
    """Row indexes of each insert, given each row's time in epoch seconds and, where it matters, its bytes.

    Rows keep their order unless they spread over too many months for one insert; then they go by time.
    """
    if not seconds:
        return
    order: Sequence[int] = range(len(seconds))
    spread = max(seconds) - min(seconds) > SHORT_S
    if not spread and sizes is None:
        for start in count(0, MAX_ROWS):
            if start >= len(order):
                return
            yield order[start : start + MAX_ROWS]
    if spread:
        order = sorted(order, key=seconds.__getitem__)
    batch: list[int] = []
    months: set[tuple[int, int]] = set()
    size = 0
    for i in order:
        month = _month(seconds[i]) if spread else (0, 0)
        more = sizes[i] if sizes else 0
        too_many = len(months) == MAX_MONTHS and month not in months
        if batch and (too_many or len(batch) == MAX_ROWS or size + more > MAX_BYTES):
            yield batch
            batch, months, size = [], set(), 0
        batch.append(i)
        months.add(month)
        size += more
    yield batch


def _month(seconds: int) -> tuple[int, int]:
    at = time.gmtime(seconds + _ZONE_S)
    return at.tm_year, at.tm_mon
