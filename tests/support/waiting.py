"""Waiting for what happens in another thread or process, without guessing how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.02


def eventually(ask: Callable[[], T], timeout: float = 20.0, why: str = "") -> T:
    """What `ask` returns as soon as that is true; fails when it is not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{why or ask} is still {found!r} after {timeout:.0f} s")
        time.sleep(POLL_SECONDS)
    return found
