"""Compiles c/fold.c, once for each version of it and each machine; needs nothing but a C compiler."""

import platform
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

SOURCE = Path(__file__).with_name("c") / "fold.c"
COMPILERS = ("cc", "gcc", "clang")
# no contraction of products and sums, so that numbers round as Python rounds them
FLAGS = (
    "-std=gnu11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off",
    "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-Wl,-z,relro,-z,now",
)  # fmt: skip
TIMEOUT_S = 120


class BuildError(Exception):
    """fold.c can't be compiled here; says why and what to do."""


class NoCompilerError(BuildError):
    """This machine has no C compiler."""


def library_path(folder: Path, source: Path = SOURCE) -> Path:
    """Where the compiled library of this source and machine belongs; it may not be there."""
    parts = [part.read_bytes() for part in sorted(source.parent.glob("*.[ch]"))]
    key = sha256(b"".join([*parts, " ".join(FLAGS).encode(), platform.libc_ver()[1].encode()])).hexdigest()
    return folder / f"fold-{sys.platform}-{platform.machine()}-{key[:16]}.so"


def build(folder: Path, source: Path = SOURCE) -> Path:
    """The library in `folder`, compiled unless it is there; raises BuildError.

    Safe when several processes build at once: each compiles aside and moves the result into place.
    """
    library = library_path(folder, source)
    if library.exists():
        return library
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NoCompilerError(
            f"no C compiler ({', '.join(COMPILERS)}); on Debian: apt-get install gcc libc6-dev"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            made = Path(aside) / library.name
            command = [compiler, *FLAGS, "-o", str(made), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            if done.returncode:
                raise BuildError(f"{compiler} can't compile {source}:\n{done.stderr.strip()}")
            made.replace(library)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{source} can't be compiled into {folder}: {error}") from error
    return library
