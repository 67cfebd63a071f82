"""Which engine folds a stream: fold.c where it can be had, its plain twin elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from schemas.fields import field_rules
from streams.core.partition import PartitionState
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.native.build import BuildError, build
from streams.native.checks import Unsupported, check
from streams.native.library import Library
from streams.native.state import NativePartitionState
from streams.spec import StreamSpec


class EngineError(Exception):
    """The compiled fold was asked for, and can't be had; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Makes the states of partitions. Topics in `compiled` are folded by fold.c, all others in Python."""

    library: Library | None = None
    compiled: frozenset[str] = field(default_factory=frozenset)

    def new_state(self, spec: StreamSpec, rules: Rules, progress: Progress) -> PartitionState:
        """The state of a partition of the stream, from this progress on."""
        if self.library is None or spec.topic not in self.compiled:
            return PartitionState(spec, rules, progress)
        return NativePartitionState(spec, rules, progress, self.library)


PLAIN = Engine()


def choose_engine(choice: str, folder: Path | None, specs: Iterable[StreamSpec]) -> tuple[Engine, str]:
    """The engine of a worker, and a sentence about it for the log.

    `choice` is auto, plain or native; `folder` is where compiled libraries are kept. Raises EngineError for
    `native` where `auto` would fall back to the plain engine for all streams or some.
    """
    if choice == "plain":
        return PLAIN, "folding in Python, as set"
    try:
        library = _library(folder)
    except EngineError as error:
        if choice == "native":
            raise
        return PLAIN, f"folding in Python, which costs several times the CPU: {error}"
    compiled, reasons = set[str](), list[str]()
    for spec in specs:
        try:
            check(spec, field_rules(spec.event))
        except Unsupported as error:
            reasons.append(str(error))
        else:
            compiled.add(spec.topic)
    if reasons and choice == "native":
        raise EngineError(f"{'; '.join(reasons)}. SONGLO_FOLD=auto folds such streams in Python")
    sentence = "; in Python where it can't: ".join(["folding by compiled code", *reasons])
    return Engine(library, frozenset(compiled)), sentence


def _library(folder: Path | None) -> Library:
    if folder is None:
        raise EngineError("no folder for compiled code is set")
    try:
        return Library(build(folder))
    except (BuildError, OSError, AttributeError) as error:
        raise EngineError(str(error)) from error
