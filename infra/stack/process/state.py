"""What runs in a home, as a file: written by the supervisor, believed as far as its processes live."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STATE = Path("run") / "stack.json"
GONE_SECONDS, POLL_SECONDS = 5.0, 0.05
STATE_FIELD, THREADS_FIELD, CLOCK_FIELD = 0, 17, 19  # of /proc/PID/stat, behind the name


def write_state(home: Path, state: dict[str, Any]) -> None:
    """Replace the state file at once."""
    target = home / STATE
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")
    fresh.replace(target)


def read_state(home: Path) -> dict[str, Any]:
    """The state file as it is; {} when there is none, or it is no state."""
    try:
        state = json.loads((home / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def remove_state(home: Path) -> None:
    """Nothing runs here any more."""
    with contextlib.suppress(FileNotFoundError):
        (home / STATE).unlink()


def started(pid: int) -> int | None:
    """When a process started, in the system's ticks: names it, with the pid. None when it does not live."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(") ")[2].split()
    # its first thread may be dead while others still hold its ports
    dead = fields[STATE_FIELD] in "ZX" and int(fields[THREADS_FIELD]) <= 1
    return None if dead else int(fields[CLOCK_FIELD])


def lives(process: Any) -> bool:
    """Whether the process of a state ({"pid", "started"}) lives, and is no other with the same number."""
    if not isinstance(process, dict) or not isinstance(pid := process.get("pid"), int):
        return False
    return (now := started(pid)) is not None and now == process.get("started", now)


def gone(those: Sequence[Mapping[str, Any]], timeout: float) -> bool:
    """Wait until none of the processes lives; False when one still does after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while any(map(lives, those)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(those: Sequence[Mapping[str, Any]]) -> bool:
    """See dying processes go, and kill those that do not; False when one stays all the same."""
    if gone(those, GONE_SECONDS):
        return True
    for process in filter(lives, those):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process["pid"], signal.SIGKILL)
    return gone(those, GONE_SECONDS)


def identified(pid: int) -> dict[str, Any]:
    """A process for the state file."""
    return {"pid": pid, "started": started(pid)}


def processes(state: dict[str, Any]) -> list[dict[str, Any]]:
    """All processes of a state, the supervisor first."""
    single = [state.get(name) for name in ("supervisor", "broker", "clickhouse", "guard", "demo")]
    return [p for p in [*single, *state.get("workers", [])] if isinstance(p, dict)]
