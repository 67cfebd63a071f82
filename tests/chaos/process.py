"""What a process holds, as Linux tells it."""

import os
from pathlib import Path


def rss_mb(pid: int) -> float:
    """Resident memory in MB. Raises OSError when there is no such process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)


def open_files(pid: int) -> int:
    """How many descriptors it has open. Raises OSError when there is no such process."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # counted, not used as paths
