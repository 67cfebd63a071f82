"""What the contenders' scripts share: arguments in, signals and windows out. The standard library only.

A contender prints `ready PID CPU_SECONDS MONOTONIC_SECONDS` when it begins to read events, with the process
that does the work, and what it has used by then; and `done` when it has them all in its windows. It waits
for the bench to take its measures, then writes its windows to --out, one a line: camera_id, start in ms,
events, sum of speeds, highest speed.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

MINUTE_MS = 60_000

Window = tuple[str, int, int, float, float]


def arguments() -> argparse.Namespace:
    """The arguments of every contender; `work` is a directory of its own for this run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--run", required=True, help="a name that no other run has")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--option", action="append", default=[], help="name=value of this contender only")
    given = parser.parse_args()
    given.options = dict(o.split("=", 1) for o in given.option)
    return given


def ready(pid: int = 0, cpu_seconds: float = -1.0, at: float = 0.0) -> None:
    """From here on the clock runs; told from within, since the bench may notice a little later."""
    cpu = time.process_time() if cpu_seconds < 0 else cpu_seconds
    # on a line of its own, whatever a framework has written before
    print(f"\nready {pid or os.getpid()} {cpu} {at or time.monotonic()}", flush=True)


def done() -> None:
    """Up to here it ran; returns when the measures are taken."""
    print("\ndone", flush=True)
    sys.stdin.readline()


def write(out: Path, windows: Iterable[Window]) -> None:
    """Hand the windows over to be checked."""
    with out.open("w", encoding="ascii") as file:
        file.writelines(f"{c},{start},{n},{total!r},{top!r}\n" for c, start, n, total, top in windows)
