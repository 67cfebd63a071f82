"""Both folds of a case, side by side: the same decisions and values, or `Differ` says where they part."""

import platform
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar
from unittest.mock import patch
from zlib import crc32

from streams.core import plain
from streams.core.framing import CorruptBatch
from streams.core.late import LateEvents
from streams.core.plain import PlainFold
from streams.core.rows import Rows
from streams.core.values import Changes, PackedBatches, Progress, Unread
from streams.native import compiled
from streams.native.compiled import CompiledFold
from streams.native.library import Library
from streams.native.tables import StreamTable, stream_table
from tests.fuzz.cases import Case
from tests.fuzz.fetch import fetched, run_by_python, run_of
from tests.fuzz.steps import Form, Step

T = TypeVar("T")

SEED = 0x5EED_0F_5047_1001
# at most that part of what is held
LINES = 10
STANDING = ("position", "replaying", "progress", "events", "open_panes")
# elsewhere the compiled fold computes no checksums
CHECKS = platform.machine() == "x86_64"
_standing = attrgetter(*STANDING)
_shape = re.compile(r"\d+").sub


class Differ(AssertionError):
    """The folds part at a step: what each says there."""

    def __init__(self, step: int, what: str, plain: object, compiled: object) -> None:
        super().__init__(f"step {step}: {what}\n  plain:    {plain!r}\n  compiled: {compiled!r}")
        self.what, self.plain, self.compiled = what, plain, compiled

    @property
    def kind(self) -> str:
        """The same for what is likely the same defect: a short name."""
        said = [_shape("#", str(x)) if isinstance(x, str) else "" for x in (self.plain, self.compiled)]
        return f"{_shape('#', self.what)}-{crc32(repr(said).encode()) & 0xFFFF:04x}"


@contextmanager
def made_once() -> Iterator[None]:
    """What a state makes of its stream alone is made once for all cases; ids are placed alike in each run."""
    shared = {plain: ("Codec", "Plan"), compiled: ("Codec", "field_rules", "used_fields")}
    with ExitStack() as patches:
        for module, names in shared.items():
            for name in names:
                patches.enter_context(patch.object(module, name, _made_once(vars(module)[name])))
        patches.enter_context(patch.object(compiled, "stream_table", _made_once(_seeded)))
        yield


def _made_once(make: Callable[..., T]) -> Callable[..., T]:
    """By the same objects, which costs less than by equal ones; streams and rules stay where they are."""
    made: dict[tuple[int, ...], T] = {}

    def get(*of: object) -> T:
        key = tuple(map(id, of))
        if key not in made:
            made[key] = make(*of)
        return made[key]

    return get


def _seeded(spec: Any, rules: Any) -> StreamTable:
    table = stream_table(spec, rules)
    table.seed = SEED
    return table


def judge(case: Case, library: Library) -> set[int]:
    """Fold the case in both; the features met. Raises Differ, or whatever a fold raises but CorruptBatch."""
    return _Pair(case, library).run()


class _Pair:
    """Both states of a partition, and the log that they have folded."""

    def __init__(self, case: Case, library: Library) -> None:
        self._case, self._library, self._step = case, library, 0
        self._held = getattr(library, "held", None)
        self._log: list[PackedBatches | Unread] = []
        self._features = {1 + case.form}
        stream = Progress(
            case.spec.name, case.spec.topic, 0, epoch=case.epoch, next_offset=case.base,
            replay_from=case.base, homes=case.homes, forward=case.forward,
        )  # fmt: skip
        self._start(stream)

    def _start(self, progress: Progress) -> None:
        case = self._case
        self._plain = PlainFold(case.spec, case.rules, progress)
        self._compiled = CompiledFold(case.spec, case.rules, progress, self._library)
        self._progress = progress

    def run(self) -> set[int]:
        """Fold all; the features met."""
        if all(map(self._take, self._case.steps)):
            for _ in range(1 + self._case.twice):
                self._flush()
        self._meet("handed over", min(self._compiled.handed_over, 8))
        return self._features

    def _take(self, step: Step) -> bool:
        """Whether both can go on."""
        self._step += 1
        if step.unread:
            base = self._plain.position
            if not self._fold(Unread(base, base + step.unread, 1, "unread", b"\0" * 50)):
                return False
        if not self._fold_step(step.batches):
            return False
        self._weigh()
        if step.flush:
            self._flush()
            self._weigh()
        return not step.restart or self._restart()

    def _fold_step(self, batches: PackedBatches) -> bool:
        form = self._case.form
        if form > Form.RECORDS and CHECKS:
            self._same("run", run_by_python(batches.data), run_of(batches.data, self._library))
        if form is not Form.FETCHED:
            return self._fold(batches)
        for each in fetched(batches.data):
            self._meet(type(each).__name__, 0)
            if not self._fold(each):
                return False
        return True

    def _fold(self, batches: PackedBatches | Unread) -> bool:
        self._log.append(batches)
        plain, compiled = (_answer(fold, batches, self._case.room) for fold in (self._plain, self._compiled))
        self._same("corrupt", plain, compiled)
        standing = _standing(self._plain), _standing(self._compiled)
        if standing[0] != standing[1]:
            for name, a, b in zip(STANDING, *standing, strict=True):
                self._same(name, a, b)
        if plain:
            self._same("end", plain, "CorruptBatch")
            self._meet("corrupt", 0)
        return not plain

    def _weigh(self) -> None:
        """What the compiled fold says that it holds, it holds; of what begins at a line it says more."""
        if self._held and not (held := self._held()) <= self._compiled.memory <= held + held // LINES:
            self._same("memory", held, self._compiled.memory)

    def _flush(self) -> None:
        plain, compiled = self._plain.capture(), self._compiled.capture()
        if plain is None or compiled is None:
            self._same("flush", plain, compiled)
            return
        self._progress = plain.progress
        for field in fields(Changes):
            self._same_values(field.name, getattr(plain, field.name), getattr(compiled, field.name))
        for letter in plain.dead:
            self._meet(_shape_of(letter.field, letter.reason[:40]), 0)
        self._meet("strays", min(8, len(plain.strays)))
        self._meet("late", min(8, len(plain.late)))
        self._meet("closed", min(8, len(plain.closed)))
        self._meet("rows", len(plain.rows).bit_length())

    def _same_values(self, what: str, plain: Any, compiled: Any) -> None:
        if isinstance(plain, Rows):
            rows = [*plain], [*compiled]
            if rows[0] != rows[1]:
                self._same_rows(*rows)
            self._same("starts", {*plain.starts}, {*compiled.starts})
        elif isinstance(plain, LateEvents):
            self._same_values(what, [*plain], [*compiled])
        elif isinstance(plain, list):
            for a, b in zip(plain, compiled, strict=False):
                self._same_values(what, a, b)
            self._same(what, len(plain), len(compiled))
        elif plain != compiled and is_dataclass(plain):
            for field in fields(plain):
                self._same(f"{what}.{field.name}", getattr(plain, field.name), getattr(compiled, field.name))
        else:
            self._same(what, plain, compiled)

    def _same_rows(self, plain: list[Any], compiled: list[Any]) -> None:
        self._same("rows", len(plain), len(compiled))
        for a, b in zip(plain, compiled, strict=True):
            for column, x, y in zip(self._case.spec.columns, a, b, strict=True):
                self._same(f"row.{column}", x, y)

    def _restart(self) -> bool:
        """As a worker's successor: from what is stored, the log again, in as few pieces as can be."""
        self._flush()
        self._start(self._progress)
        again, self._log = _joined(self._log), []
        self._meet("restart", min(8, len(again)))
        return all(self._fold(b) for b in again if b.next_offset > self._progress.replay_from)

    def _meet(self, what: str, number: int) -> None:
        self._features.add(16 + (crc32(what.encode()) + number) % 4000)

    def _same(self, what: str, plain: object, compiled: object) -> None:
        if plain != compiled:
            raise Differ(self._step, what, plain, compiled)


@lru_cache(maxsize=1 << 12)
def _shape_of(field: str, reason: str) -> str:
    return f"{field} {_shape('', reason)}"


def _answer(fold: PlainFold, batches: PackedBatches | Unread, room: int) -> str:
    """Fold all of them, in as many calls as there is room for in each."""
    try:
        fold.fold(batches, room)
        while fold.position < batches.next_offset:
            before = fold.position
            fold.fold(batches, room)
            if fold.position <= before:
                return f"stands at offset {before}"
    except CorruptBatch:
        return "CorruptBatch"
    return ""


def _joined(log: list[PackedBatches | Unread]) -> list[PackedBatches | Unread]:
    joined: list[PackedBatches | Unread] = []
    for batches in log:
        last = joined[-1] if joined else None
        if isinstance(last, PackedBatches) and isinstance(batches, PackedBatches):
            data = last.data + batches.data
            joined[-1] = PackedBatches(last.base_offset, batches.next_offset, data, 0, len(data))
        else:
            joined.append(batches)
    return joined
