"""What the fuzzer finds: an input for each kind of difference, the shortest met, and it in words."""

import traceback
from collections.abc import Iterator
from pathlib import Path

from streams.native.library import Library
from tests.fuzz.cases import Case, case_of
from tests.fuzz.judge import Differ, judge
from tests.fuzz.steps import Form, Step

SUFFIX = ".input"


def kind_of(data: bytes, library: Library) -> str | None:
    """The kind of difference that the input shows; None when both folds agree."""
    try:
        judge(case_of(data), library)
    except Differ as differ:
        return differ.kind
    except Exception as error:  # noqa: BLE001  # whatever a fold raises but what it may is a finding
        return _kind_of_error(error)
    return None


def _kind_of_error(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}-{Path(last.filename).stem}-{last.name}"


class Findings:
    """A folder of inputs by their kind; several processes may write to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[str, int] = {}

    def add(self, kind: str, data: bytes) -> None:
        """Keep the input, unless there is a shorter one of its kind."""
        path = self._folder / f"{kind}{SUFFIX}"
        if kind not in self._sizes:
            self._sizes[kind] = path.stat().st_size if path.exists() else len(data) + 1
        if len(data) < self._sizes[kind]:
            self._sizes[kind] = len(data)
            aside = path.with_suffix(f".{id(self)}")
            aside.write_bytes(data)
            aside.replace(path)


def found_in(folder: Path) -> list[Path]:
    """The inputs found: of differences, and what libFuzzer wrote when a process died."""
    return [
        p
        for p in sorted(folder.iterdir())
        if p.suffix == SUFFIX or p.name.startswith(("crash-", "timeout-", "oom-"))
    ]


def shortened(data: bytes, library: Library) -> bytes:
    """The input without what its kind of difference does not need."""
    kind, size = kind_of(data, library), len(data) // 2
    while size and kind:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if kind_of(shorter, library) == kind:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def told(data: bytes, library: Library) -> Iterator[str]:
    """The input in words: what is folded, and where the folds part."""
    case = case_of(data)
    yield f"stream {case.spec.name}, {case.form.name.lower()}, from offset {case.base}, epoch {case.epoch}"
    yield f"rules: {case.rules}{'' if case.spec.dedupe else ', without removal of duplicates'}"
    for number, step in enumerate(case.steps, 1):
        yield from _told_step(number, step, case)
    try:
        judge(case, library)
    except Differ as differ:
        yield f"{differ.kind}: {differ}"
    except Exception:  # noqa: BLE001  # told, whatever it is
        yield traceback.format_exc().rstrip()
    else:
        yield "both folds agree"


def _told_step(number: int, step: Step, case: Case) -> Iterator[str]:
    then = ["", ", flushed"][step.flush] + ["", ", restarted"][step.restart]
    batches = step.batches
    first, last, size = batches.base_offset, batches.next_offset - 1, len(batches.data)
    yield f"step {number}: offsets {first} to {last}, {size} bytes{then}"
    if step.unread:
        yield f"  after {step.unread} messages that were not read"
    shown = batches.data if case.form is Form.VERBATIM else batches.data[61:]
    yield f"  {shown[:400]!r}{' …' if len(shown) > 400 else ''}"
