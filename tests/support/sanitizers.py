"""The compiled fold with gcc's sanitizers of addresses and undefined behaviour, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.native.build import FLAGS, compile_command

ROOT = Path(__file__).parents[2]
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def run_sanitized(module: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a module with the path of such a library as its argument; skips where gcc has no sanitizers."""
    made = folder / "fold.so"
    preload = f"{_tool('libasan.so')} {_tool('libubsan.so')}"
    # the sanitizers need what fortified calls hide, and are no use with optimisation
    flags = (*(f for f in FLAGS if f not in ("-O3", "-D_FORTIFY_SOURCE=2")), *SANITIZE)
    subprocess.run(compile_command("gcc", made, flags=flags), check=True)
    # Python itself leaves memory behind at its exit
    environ = {**os.environ, "LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(
        [sys.executable, "-m", module, str(made)],
        env=environ, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def _tool(name: str) -> str:
    """The path of one of gcc's libraries; skips where there is none."""
    try:
        path = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    except OSError:
        pytest.skip("no gcc")
    if not Path(path.stdout.strip()).is_absolute():
        pytest.skip(f"gcc without {name}")
    return path.stdout.strip()
