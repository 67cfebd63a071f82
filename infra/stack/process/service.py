"""A service: what to run as a child of this process, and how to tell that it is well."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TETHER = Path(__file__).with_name("tether.py")
LOG_BYTES = 16 << 20
LOG_LINES = 12


class ChildError(Exception):
    """A child does not come up; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What to run, and how to tell that it is well.

    `prepare` runs before each start and may raise ChildError. `well` is asked, with the process id, until it
    says yes, then now and then; a child that was well and is not for `hung_seconds` is killed (None: never).
    `stop_signal` asks it to leave within `grace_seconds`. Who waits for a child hears of its failure after
    `give_up_after` deaths without its ever having been well. A `once` child with exit status 0 is done.
    Exit status `fatal_status` says that it is in vain to try again soon; `statuses` are others that have a
    meaning, which is told. A child that ends with one of those waits longer each time, however long it ran.
    """

    name: str
    command: Sequence[str]
    log: Path
    well: Callable[[int], bool] = lambda _: True
    prepare: Callable[[], None] = lambda: None
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15.0
    hung_seconds: float | None = 90.0
    give_up_after: int = 5
    fatal_status: int | None = None
    statuses: Mapping[int, str] = field(default_factory=dict)
    once: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """One child as it is now."""

    name: str
    pid: int
    ready: bool
    restarts: int
    ended: str = ""  # how the process before this one ended


def tethered(command: Sequence[str]) -> list[str]:
    """The command, so that it dies with the thread that starts it."""
    return [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command]


def rotate(path: Path) -> None:
    """Put a log that has grown large aside, in place of the one before."""
    try:
        if path.stat().st_size > LOG_BYTES:
            path.replace(path.with_name(path.name + ".1"))
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)


def last_lines(path: Path) -> str:
    """The end of a log, for an error message; '' when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").strip().splitlines()[-LOG_LINES:]
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in [f"{path}:", *lines])
