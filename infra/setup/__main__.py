"""`python -m infra.setup`: makes the environment and the compiled fold, and prints its Python."""

import argparse
import os
import sys
from pathlib import Path

from infra.setup.environment import require_environment
from infra.setup.fold import build_where_possible
from infra.setup.progress import SetupProgress, exit_status
from infra.setup.store import cache_directory

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """The command line. Exit status 1 when something is missing that can't be had."""
    parser = argparse.ArgumentParser(description="Sets up what Songlo needs.")
    parser.add_argument("--stamp", type=Path, help="file that remembers the environment's Python")
    a = parser.parse_args()
    return exit_status(lambda: _make(a.stamp))


def _make(stamp: Path | None) -> None:
    cache, progress = cache_directory(os.environ), SetupProgress()
    python = require_environment(cache, ROOT / "requirements.lock", progress)
    build_where_possible(cache / "native")
    if stamp:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        fresh = stamp.with_name(f"{stamp.name}.{os.getpid()}")
        fresh.write_text(f"{python}\n", encoding="utf-8")
        fresh.replace(stamp)
        sys.stdout.write(f"{python}\n")


if __name__ == "__main__":
    sys.exit(main())
