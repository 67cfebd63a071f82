"""Processor time and memory of a process and all its children, from /proc (Linux)."""

import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
# quiet is less than this part of a core, between two looks; then how long it is waited for
QUIET_PART, QUIET_LOOK_S, QUIET_PATIENCE_S = 0.1, 0.4, 20.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time so far, user and system; the peak of resident memory in MB."""

    cpu_seconds: float
    peak_mb: float


def usage(pid: int) -> Usage:
    """What the process and its descendants have used; children that have ended count when waited for."""
    cpu, peak = 0.0, 0.0
    for member in tree(pid):
        cpu += _cpu_seconds(member)
        peak += _peak_mb(member)
    return Usage(cpu, peak)


def tree(pid: int) -> list[int]:
    """The process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def pin(pid: int, cores: Collection[int]) -> None:
    """Keep all threads of a process, and those that they start, on these cores."""
    with suppress(FileNotFoundError):  # a process that has ended
        for task in (PROC / str(pid) / "task").iterdir():
            with suppress(ProcessLookupError):  # a thread that has ended
                os.sched_setaffinity(int(task.name), cores)


def wait_quiet(pids: Iterable[int]) -> None:
    """Wait until these processes hardly use the processor; not for ever, since some may never rest."""
    watched, deadline = tuple(pids), time.monotonic() + QUIET_PATIENCE_S
    before = _all_cpu_seconds(watched)
    while watched and time.monotonic() < deadline:
        time.sleep(QUIET_LOOK_S)
        now = _all_cpu_seconds(watched)
        if now - before < QUIET_PART * QUIET_LOOK_S:
            return
        before = now


def _all_cpu_seconds(pids: Iterable[int]) -> float:
    return sum(usage(pid).cpu_seconds for pid in pids)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; [] when the process is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    # the second field, the name in brackets, may hold anything
    return text.rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    # utime, stime, and those of children that were waited for
    return sum(map(int, fields[11:15])) / TICKS if fields else 0.0


def _peak_mb(pid: int) -> float:
    try:
        status = (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
