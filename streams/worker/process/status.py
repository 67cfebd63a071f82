"""The worker's status file: how its parent learns that it is ready, without a port."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

NONE: Mapping[str, int] = MappingProxyType({})


def write_status(
    path: Path | None,
    state: str,
    *,
    assigned: Sequence[tuple[str, int]] = (),
    folded: int = 0,
    strays: Mapping[str, int] = NONE,
    paused: Sequence[str] = (),
    message: str = "",
    updated_ms: int,
) -> None:
    """Replace the file at once, so that a reader sees the old status or the new one; no path, no file.

    `state` is starting, ready or stopping; `strays` are events sent home by stream; `paused` names the
    streams that a breaker holds; `message` says why a worker stops by itself.
    """
    if path is None:
        return
    status = {
        "pid": os.getpid(),
        "state": state,
        "assigned": [f"{topic}[{number}]" for topic, number in assigned],
        "folded": folded,
        "strays": dict(strays),
        "paused": list(paused),
        "message": message,
        "updated_ms": updated_ms,
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(status), encoding="utf-8")
    beside.replace(path)
