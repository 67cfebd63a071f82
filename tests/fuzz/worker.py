"""libFuzzer in Python: one process of `infra/fuzz`, with the sanitizers loaded before anything else.

`worker LIBRARY FINDINGS FLAGS…`, the flags and folders those of libFuzzer.
"""

import gc
import os
import random
import sys
from collections.abc import Sequence
from ctypes import (
    POINTER,
    PYFUNCTYPE,
    PyDLL,
    c_char_p,
    c_int,
    c_int64,
    c_uint8,
    c_uint32,
    c_void_p,
    memmove,
    string_at,
)  # fmt: skip
from pathlib import Path
from typing import Any

from streams.native.library import Library
from tests.fuzz.cases import case_of
from tests.fuzz.findings import Findings, kind_of
from tests.fuzz.judge import Differ, judge, made_once
from tests.fuzz.mutate import mutated

JUDGE = PYFUNCTYPE(c_int, c_void_p, c_int64)
MUTATOR = PYFUNCTYPE(c_int64, c_void_p, c_int64, c_int64, c_uint32)
FEATURES = 4096
# cycles are few, and to look for them costs more than a case
COLLECT_EVERY = 1 << 16


def harness(path: Path) -> tuple[Library, Any]:
    """The compiled fold of a harness, on memory of exact size; and the harness."""
    library, dll = Library(path), PyDLL(str(path))
    dll.songlo_fold_copy.argtypes = c_void_p, c_char_p, c_int64
    dll.songlo_held.restype = c_int64
    library.fold, library.held = dll.songlo_fold_copy, dll.songlo_held  # type: ignore[attr-defined]
    dll.songlo_fuzz.argtypes = c_int, POINTER(c_char_p), JUDGE, MUTATOR
    return library, dll


def fuzz(path: Path, findings: Findings, flags: Sequence[str]) -> None:
    """Run libFuzzer's main with these flags, its program's name first; it may end the process."""
    os.environ.pop("LD_PRELOAD", None)  # of what libFuzzer starts, each loads what it needs
    library, dll = harness(path)
    met = (c_uint8 * FEATURES).in_dll(dll, "songlo_met")

    def one(address: int, size: int) -> int:
        data = string_at(address, size)
        try:
            for feature in judge(case_of(data), library):
                met[feature] = 1
        except Exception as error:  # noqa: BLE001  # in a callback of C nobody would see it
            findings.add(kind_of(data, library) or f"unsteady-{type(error).__name__}", data)
            met[FEATURES - 1 - isinstance(error, Differ)] = 1
        return 0

    def mutate(address: int, size: int, most: int, seed: int) -> int:
        data = string_at(address, size)
        found = mutated(data, random.Random(seed))
        if found is None or len(found) > most:
            return -1
        memmove(address, found, len(found))
        return len(found)

    arguments = (c_char_p * (len(flags) + 1))(*(flag.encode() for flag in flags), None)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    with made_once():
        dll.songlo_fuzz(len(flags), arguments, JUDGE(one), MUTATOR(mutate))


if __name__ == "__main__":
    fuzz(Path(sys.argv[1]), Findings(Path(sys.argv[2])), sys.argv[3:])
