"""All that the local stack is made of, fetched: `python -m infra.stack.parts`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.setup.fold import require_fold
from infra.setup.progress import Progress, SetupError
from infra.setup.store import cache_directory
from infra.setup.tools import require_java
from infra.stack.clickhouse.fetch import Engine, require_engine
from infra.stack.kafka.fetch import require_broker


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the local stack: a Java, the broker's jars, the ClickHouse engine, the compiled fold."""

    java: str
    jars: Path
    engine: Engine
    fold: Path | None = None


def require_parts(cache: Path, progress: Progress) -> Parts:
    """The parts of the local stack; what is missing is fetched.

    Raises SetupError saying what to do.
    """
    jars, fold = require_broker(cache, progress), require_fold(cache / "native", progress)
    return Parts(java=require_java(progress), jars=jars, engine=require_engine(cache, progress), fold=fold)


def main() -> int:
    """Fetch what is missing. Exit status 1 when something can't be had."""
    try:
        require_parts(cache_directory(os.environ), Progress())
    except (SetupError, OSError) as e:
        sys.stderr.write(f"songlo: {e}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("songlo: interrupted; what is whole is kept\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
