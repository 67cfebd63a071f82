"""Compiles c/fold.c, once for each version of it and each machine; needs nothing but a C compiler.

Set-up and the build of a wheel do so (infra/setup/fold.py, streams/native/wheel.py). A worker only finds what
they have made.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

SOURCE = Path(__file__).with_name("c") / "fold.c"
# where a wheel has the library; a clone has none there
PACKED = Path(__file__).with_name("fold.so")
COMPILERS = ("cc", "gcc", "clang")
# no contraction of products and sums, so that numbers round as Python rounds them
FLAGS = (
    "-std=gnu11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off",
    "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-Wl,-z,relro,-z,now",
)  # fmt: skip
TIMEOUT_S = 120


class BuildError(Exception):
    """fold.c can't be compiled here, or was not; says why and what to do."""


class NoCompilerError(BuildError):
    """This machine has no C compiler."""


class NotBuiltError(BuildError):
    """Nobody has compiled this version of fold.c for this machine yet."""


def source_version(source: Path = SOURCE) -> str:
    """The version of fold.c and what it includes: 16 hexadecimal digits, which the library knows too."""
    parts = (part.read_bytes() for part in sorted(source.parent.glob("*.[ch]")))
    return sha256(b"".join(parts)).hexdigest()[:16]


def library_path(folder: Path, source: Path = SOURCE) -> Path:
    """Where the compiled library of this source and machine belongs; it may not be there."""
    made_by = "\0".join((source_version(source), *FLAGS, platform.libc_ver()[1]))
    key = sha256(made_by.encode()).hexdigest()[:16]
    return folder / f"fold-{sys.platform}-{platform.machine()}-{key}.so"


def find(folder: Path) -> Path:
    """The library that the wheel brought, else the one that set-up made in `folder`; raises NotBuiltError."""
    for library in (PACKED, library_path(folder)):
        if library.exists():
            return library
    raise NotBuiltError(
        f"the compiled fold is neither in the package nor in {folder}; set-up builds it (`songlo up`), "
        "and so does `pip wheel` on a machine with a C compiler"
    )


def compile_command(
    compiler: str, library: Path, source: Path = SOURCE, flags: Iterable[str] = FLAGS
) -> list[str]:
    """The command that makes `library` of `source`."""
    version = f'-DSONGLO_VERSION="{source_version(source)}"'
    return [compiler, *flags, version, "-o", str(library), str(source)]


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
            command = compile_command(compiler, made, source)
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            if done.returncode:
                raise BuildError(f"{compiler} can't compile {source}:\n{done.stderr.strip()}")
            made.replace(library)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{source} can't be compiled into {folder}: {error}") from error
    return library
