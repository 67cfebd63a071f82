"""Which engine folds a stream: fold.c where it can be had, its plain twin elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from schemas.fields import field_rules
from streams.core.fold import Fold
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.native.build import NotBuiltError, find
from streams.native.checks import Unsupported, check
from streams.native.compiled import CompiledFold
from streams.native.layout import LayoutError
from streams.native.library import Library
from streams.spec import StreamSpec


class EngineError(Exception):
    """The compiled fold was asked for, and can't be had; says why and what to do."""


class WrongLibraryError(EngineError):
    """There is a compiled fold, and it does not belong to this version; it must not be used."""


@dataclass(frozen=True, slots=True)
class FoldEngine:
    """Makes the folds of partitions. Topics in `compiled` are folded by fold.c, all others in Python."""

    library: Library | None = None
    compiled: frozenset[str] = field(default_factory=frozenset)

    def new_fold(self, spec: StreamSpec, rules: Rules, progress: Progress) -> Fold:
        """The fold of a partition of the stream, from this progress on."""
        if self.library is None or spec.topic not in self.compiled:
            return PlainFold(spec, rules, progress)
        return CompiledFold(spec, rules, progress, self.library)


PLAIN = FoldEngine()


def choose_engine(choice: str, folder: Path | None, specs: Iterable[StreamSpec]) -> tuple[FoldEngine, str]:
    """The engine of a worker, and a sentence about it for the log.

    `choice` is auto, plain or native; `folder` is where set-up keeps compiled libraries. Raises EngineError
    for `native` where `auto` would fall back to the plain engine for all streams or some, WrongLibraryError
    for both.
    """
    if choice == "plain":
        return PLAIN, "folding in Python, as set"
    try:
        library = _library(folder)
    except WrongLibraryError:
        raise
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
    return FoldEngine(library, frozenset(compiled)), sentence


def _library(folder: Path | None) -> Library:
    if folder is None:
        raise EngineError("no folder for compiled code is set")
    try:
        path = find(folder)
    except NotBuiltError as error:
        raise EngineError(str(error)) from error
    try:
        return Library(path)
    except OSError as error:
        raise EngineError(f"the compiled fold can't be loaded: {error}") from error
    except LayoutError as error:
        raise WrongLibraryError(
            f"{path} is the compiled fold of another version: {error}. Delete this file and install the "
            "wheel again, or in a clone run `infra/up`; SONGLO_FOLD=plain folds in Python until then"
        ) from error
