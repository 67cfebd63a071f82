"""Log-bucketed histograms of integers >= 0, with a relative error of at most 1 %.

After Masson, Rim and Lee, DDSketch (VLDB 2019), with integer bounds in place of logarithms, so that
every machine puts a value into the same bucket. A histogram is a mapping from a bucket's
representative value to the number of values in it; histograms merge by adding the numbers.
"""

from bisect import bisect_left
from functools import lru_cache
from itertools import pairwise

LARGEST = 10**18


def _upper_bounds() -> tuple[int, ...]:
    """Inclusive upper bounds: single values up to 100, then each 2 % above the one before."""
    bounds = [0]
    while bounds[-1] < LARGEST:
        bounds.append(max(bounds[-1] + 1, bounds[-1] * 51 // 50))
    return tuple(bounds)


def _representative(low: int, high: int) -> int:
    """The value with the smallest relative error to both ends of `[low, high]`: their harmonic mean."""
    return round(2 * low * high / (low + high)) if high > 1 else high


UPPER_BOUNDS = _upper_bounds()
REPRESENTATIVES = (
    0,
    *(_representative(low + 1, high) for low, high in pairwise(UPPER_BOUNDS)),
)


# speeds and durations repeat: remembering costs a fifth of searching
@lru_cache(maxsize=1 << 16)
def bucket(value: int) -> int:
    """The representative of the bucket that holds `value`; values above 10**18 count as the largest."""
    return REPRESENTATIVES[bisect_left(UPPER_BOUNDS, min(value, LARGEST))]
