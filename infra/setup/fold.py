"""The compiled fold: built where a C compiler can be had; without it workers fold in Python."""

from contextlib import suppress
from pathlib import Path

from infra.setup.progress import SetupError, SetupProgress
from infra.setup.tools import install_compiler
from streams.native.build import BuildError, NoCompilerError, NotBuiltError, build, find


def require_fold(folder: Path, progress: SetupProgress) -> Path | None:
    """The compiled fold of the package, else of `folder`; None, and why in a line, when it can't be built."""
    with suppress(NotBuiltError):
        return find(folder)
    try:
        try:
            return build(folder)
        except NoCompilerError:
            install_compiler(progress)
            return build(folder)
    except (BuildError, SetupError) as e:
        progress.say(f"Workers will fold in Python, at several times the CPU: {e}")
        return None


def build_where_possible(folder: Path) -> None:
    """The same without a word and without installing a compiler: a worker that finds no library says so."""
    with suppress(BuildError):
        build(folder)
