"""Songlo's own Python environment, built from the lock file and kept by its hash."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from infra.setup.progress import SetupProgress
from infra.setup.store import is_whole, keep
from infra.setup.tools import install_venv


def environment_directory(cache: Path, lock: Path) -> Path:
    """Where the environment of this lock file and this Python is, whether it is there or not."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache / f"python{version}-{os.uname().machine}-{digest}"


def require_environment(cache: Path, lock: Path, progress: SetupProgress) -> Path:
    """The Python of the environment; built when missing."""
    place = environment_directory(cache, lock)
    if not is_whole(place):
        keep(place, lambda into: _build(into, lock, progress))
    return place / "bin" / "python"


def _build(into: Path, lock: Path, progress: SetupProgress) -> None:
    if not _has_venv():
        install_venv(progress, (sys.version_info.major, sys.version_info.minor))
    # ensurepip obeys pip's own variables, which may name what isn't here
    progress.run("Python environment", [sys.executable, "-m", "venv", "--clear", str(into)], grows=into)
    pip = [
        str(into / "bin/python"),
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "-r", str(lock)]
    progress.run("Python packages", [*pip, *options], grows=into)


def _has_venv() -> bool:
    done = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return done.returncode == 0
