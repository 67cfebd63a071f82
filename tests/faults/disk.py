"""A disk that is really full, where one can be mounted; else tables that are told that it is."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import disk_usage

from infra.stack.stack import Stack
from sinks.clickhouse import ROOM
from tests.chaos.rig import Rig

SIZE_MB = 96
TABLES = ("camera_windows", "progress")
NEEDS = "min_free_disk_bytes_to_perform_insert"
CHUNK = bytes(1 << 16)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A stack with ClickHouse on a disk of its own; `data` is None where nothing could be mounted."""

    stack: Stack
    data: Path | None

    @contextmanager
    def full(self, rig: Rig) -> Iterator[Callable[[], None]]:
        """As long as this lasts no insert has room; what it gives leaves none for anything else."""
        if self.data is None:
            for table in TABLES:
                rig.ask(f"ALTER TABLE {table} MODIFY SETTING {NEEDS} = {10**15}")
            yield lambda: None
            for table in TABLES:
                rig.ask(f"ALTER TABLE {table} RESET SETTING {NEEDS}")
            return
        ballast = self.data / "ballast"
        try:
            _fill(ballast, leave=ROOM // 2)
            yield partial(_fill, ballast)
        finally:
            ballast.unlink()


def _fill(ballast: Path, leave: int = 0) -> None:
    """Write until nothing more goes in, or only so much."""
    with ballast.open("ab", buffering=0) as file:
        while leave and disk_usage(ballast).free > leave:
            file.write(CHUNK)
        if leave:
            return
        for chunk in (CHUNK, CHUNK[:512]):
            try:
                while file.write(chunk) == len(chunk):
                    pass
            except OSError:
                continue


@contextmanager
def small_disk_of(home: Path) -> Iterator[SmallDisk]:
    """A stack in `home`, of which ClickHouse's data lie on a disk of some megabytes."""
    data = home / "data" / "clickhouse"
    data.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(data)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        with Stack(home) as stack:
            yield SmallDisk(stack, data if mounted else None)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(data)], check=True)
