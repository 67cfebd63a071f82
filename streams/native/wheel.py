"""The build backend that pyproject.toml names: setuptools, with the compiled fold among what it packs.

`pip wheel .` compiles fold.c as set-up does (see `build`). Without a C compiler the wheel is pure, and folds
in Python. What is packed is a copy of the tree: nothing is left in it, and nothing old gets into a wheel.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setuptools import build_meta
from setuptools.command.bdist_wheel import bdist_wheel

from streams.native.build import PACKED, NoCompilerError, build

ROOT = Path(__file__).resolve().parents[2]
FILES = ("pyproject.toml", "README.md")
ROOMS = ("schemas", "streams", "sinks", "infra")

Config = Mapping[str, Any] | None


class Wheel(bdist_wheel):  # type: ignore[misc] # setuptools is not there where types are checked
    """A wheel with a compiled fold is for one platform, and for every Python that runs on it."""

    def finalize_options(self) -> None:
        """As setuptools' own, which asks for compiled modules; the fold is a library and no module."""
        if PACKED.relative_to(ROOT).exists():
            self.distribution.has_ext_modules = lambda: True
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        """Python's version and ABI do not matter to a library that ctypes loads."""
        python, abi, platform = super().get_tag()
        return (python, abi, platform) if self.root_is_pure else ("py3", "none", platform)


def build_wheel(
    wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None
) -> str:
    """The name of the wheel that was made there; raises BuildError when a compiler can't compile fold.c."""
    into = Path(wheel_directory).resolve()
    with _copy_of_tree() as tree:
        try:
            library = build(tree / "build")
        except NoCompilerError as error:
            sys.stderr.write(f"The wheel will fold in Python, at several times the CPU: {error}\n")
        else:
            library.replace(PACKED.relative_to(ROOT))
        return str(build_meta.build_wheel(str(into), config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Config = None) -> str:
    """The name of the source archive that was made there; a wheel can be built from it."""
    into = Path(sdist_directory).resolve()
    with _copy_of_tree():
        return str(build_meta.build_sdist(str(into), config_settings))


@contextmanager
def _copy_of_tree() -> Iterator[Path]:
    """A copy of what is packed, as the current directory."""
    with TemporaryDirectory(prefix="songlo-") as folder, chdir(folder):
        for name in FILES:
            shutil.copy(ROOT / name, name)
        for name in ROOMS:
            shutil.copytree(ROOT / name, name, ignore=shutil.ignore_patterns("__pycache__", PACKED.name))
        yield Path(folder)
