"""A picture of the comparison, drawn by matplotlib in an environment of the bench's own."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from infra.setup.progress import SetupError, SetupProgress
from tests.bench.environment import PEERS, python


def draw(report: Mapping[str, Any], png: Path, cache: Path) -> None:
    """Write the PNG. Raises SetupError when it can't be drawn."""
    interpreter = python("plot", cache, SetupProgress())
    done = subprocess.run(
        [str(interpreter), str(PEERS / "plot.py"), str(png.absolute())],
        input=orjson.dumps(report),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"{png} could not be drawn: {done.stderr.decode(errors='replace').strip()[-600:]}")
