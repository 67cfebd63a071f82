"""The corpus in the tree: a file for each stream, by its name, so that another stream changes none of them.

A file is the inputs without their first byte, each behind its size, compressed: the order is by size, then
bytes, so that the same inputs are the same file.
"""

import lzma
from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import sha1
from pathlib import Path

from tests.fuzz.cases import streams

FOLDER = Path(__file__).with_name("corpus")
SIZE_BYTES = 4


def stored(folder: Path = FOLDER) -> Iterator[bytes]:
    """All inputs that are kept."""
    for stream, spec in enumerate(streams()):
        path = folder / f"{spec.name}.xz"
        if path.exists():
            yield from (bytes([stream]) + rest for rest in _taken_apart(lzma.decompress(path.read_bytes())))


def store(inputs: Iterable[bytes], folder: Path = FOLDER) -> None:
    """Keep these inputs, and no others."""
    by_stream: dict[str, set[bytes]] = defaultdict(set)
    for data in filter(None, inputs):
        by_stream[streams()[data[0] % len(streams())].name].add(data[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.xz"):
        if path.stem not in by_stream:
            path.unlink()
    for name, rests in by_stream.items():
        packed = b"".join(
            len(rest).to_bytes(SIZE_BYTES) + rest for rest in sorted(rests, key=lambda r: (len(r), r))
        )
        (folder / f"{name}.xz").write_bytes(lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME))


def write_files(inputs: Iterable[bytes], folder: Path) -> None:
    """Each input as a file, as libFuzzer reads and names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def read_files(folder: Path) -> Iterator[bytes]:
    """Each file of a folder."""
    yield from (path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def _taken_apart(packed: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(packed):
        size = int.from_bytes(packed[at : at + SIZE_BYTES])
        at += SIZE_BYTES
        yield packed[at : at + size]
        at += size
