"""All that Songlo needs on this machine, in one call."""

from dataclasses import dataclass
from pathlib import Path

from infra.setup.broker import require_broker
from infra.setup.engine import Engine, require_engine
from infra.setup.fold import require_fold
from infra.setup.progress import Progress
from infra.setup.tools import require_java


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
