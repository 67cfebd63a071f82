"""The cache of what was fetched and built: each item a directory that is whole or not there."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MARKER = ".complete"


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Where downloads are kept: SONGLO_CACHE, else songlo/ in the user's cache directory."""
    if chosen := environ.get("SONGLO_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache"
    return Path(base).absolute() / "songlo"


def is_whole(item: Path) -> bool:
    """Whether the item was finished."""
    return (item / MARKER).exists()


def keep(item: Path, build: Callable[[Path], None]) -> Path:
    """The item, built first when it is not whole; two processes at once build it once.

    It is built in its own place, since a virtual environment can't be moved; the marker makes it whole.
    """
    if is_whole(item):
        return item
    item.parent.mkdir(parents=True, exist_ok=True)
    with locked(item.with_name(item.name + ".lock")):
        if is_whole(item):  # another process was faster
            return item
        if item.exists():
            shutil.rmtree(item)
        item.mkdir()
        build(item)
        (item / MARKER).touch()
    return item


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the system releases it when the process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
