"""How glibc manages the worker's memory: fetches of megabytes that come and go all the time."""

import ctypes

# of <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
MEBIBYTE = 1024 * 1024


def keep_memory() -> bool:
    """Let freed memory be used again instead of given back; False where the C library is another.

    By default each large buffer is mapped anew, and the kernel clears its pages: a tenth of a worker's
    processor time. One arena for all threads, since what one allocates another frees. Call it before they
    start.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {M_ARENA_MAX: 1, M_MMAP_THRESHOLD: 32 * MEBIBYTE, M_TRIM_THRESHOLD: 128 * MEBIBYTE}
    return [mallopt(name, value) for name, value in settings.items()] == [1, 1, 1]
