"""Named places where a test may kill, stop or fail a worker; without a setting they cost a function call.

The setting is a list of `name@count=action`, separated by commas: at the count-th passage (1 when not
given) `kill` sends SIGKILL to the own process, `stop` SIGSTOP, and `raise` raises FailpointReached; `hang`
blocks the thread for good, and `seize` does so without letting any other run.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Callable

# places where a test may stop a worker, in the order in which a flush passes them
FLUSH_FAILPOINTS = (
    "flush.before_rows",
    "flush.before_ids",
    "flush.before_late",
    "flush.before_dead",
    "flush.before_noted",
    # only where there are strays
    "flush.before_strays",
    "flush.after_strays",
    "flush.before_progress",
    "flush.after_progress",
)
DELIVERY_FAILPOINTS = (
    "rebalance.revoked",
    "rebalance.assigned",
    "consume.fetch",
    "consume.fold",
    "recover.before_load",
    "recover.after_load",
    "recover.before_seek",
    "recover.after_seek",
    "flush.captured",
    "commit.before",
    "commit.after",
    "stop.before_flush",
)
ALL_FAILPOINTS = FLUSH_FAILPOINTS + DELIVERY_FAILPOINTS
ACTIONS = ("kill", "stop", "raise", "hang", "seize")

Failpoint = Callable[[str], None]


class FailpointReached(Exception):
    """A test asked for a failure at this place."""


def pass_by(name: str) -> None:
    """What a failpoint does when none is set."""


def failpoints(setting: str, act: Callable[[str, str], None] | None = None) -> Failpoint:
    """A function to be told each failpoint as it is passed.

    Raises ValueError on an unknown name or action.
    """
    if not setting:
        return pass_by
    waiting = dict(_parse(part.strip()) for part in setting.split(","))
    perform = act or _perform

    def failpoint(name: str) -> None:
        if name not in waiting:
            return
        left, action = waiting[name]
        waiting[name] = (left - 1, action)
        if left == 1:
            perform(name, action)

    return failpoint


def _parse(part: str) -> tuple[str, tuple[int, str]]:
    place, _, action = part.partition("=")
    name, _, count = place.partition("@")
    if name not in ALL_FAILPOINTS:
        raise ValueError(f"no failpoint is called {name!r}; there are {', '.join(ALL_FAILPOINTS)}")
    if action not in ACTIONS or not (count or "1").isdigit():
        raise ValueError(f"failpoint {part!r}: expected name@count= and one of {', '.join(ACTIONS)}")
    return name, (int(count or "1"), action)


def _perform(name: str, action: str) -> None:
    if action == "raise":
        raise FailpointReached(name)
    if action == "hang":
        threading.Event().wait()
    if action == "seize":
        # a call by PyDLL keeps Python's lock
        ctypes.PyDLL(None).pause()
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
