"""All that the local stack is made of, fetched: `python -m infra.stack.parts`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.setup.fold import require_fold
from infra.setup.progress import SetupProgress, exit_status
from infra.setup.store import cache_directory
from infra.setup.tools import require_java
from infra.stack.clickhouse.fetch import ClickHouseBinary, require_engine
from infra.stack.kafka.fetch import require_broker


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the local stack: a Java, the broker's jars, the ClickHouse engine, the compiled fold."""

    java: str
    jars: Path
    engine: ClickHouseBinary
    fold: Path | None = None


def require_parts(cache: Path, progress: SetupProgress) -> Parts:
    """The parts of the local stack; what is missing is fetched.

    Raises SetupError saying what to do.
    """
    jars, fold = require_broker(cache, progress), require_fold(cache / "native", progress)
    return Parts(java=require_java(progress), jars=jars, engine=require_engine(cache, progress), fold=fold)


def main() -> int:
    """Fetch what is missing. Exit status 1 when something can't be had."""
    return exit_status(lambda: require_parts(cache_directory(os.environ), SetupProgress()))


if __name__ == "__main__":
    sys.exit(main())
