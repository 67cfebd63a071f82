"""libFuzzer in Python: one process of `infra/fuzz`, with the sanitizers loaded before anything else.

`worker LIBRARY FINDINGS PROGRAM FLAGS…`, the flags and folders those of libFuzzer.
"""

import gc
import os
import random
import signal
import sys
from collections.abc import Sequence
from ctypes import (
    CDLL,
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
from zlib import crc32

from infra.stack.process.tether import PR_SET_PDEATHSIG
from streams.native.library import Library
from tests.fuzz.cases import case_of
from tests.fuzz.findings import Findings, kind_of, shortened, told
from tests.fuzz.judge import judge, made_once
from tests.fuzz.mutate import mutated

JUDGE = PYFUNCTYPE(c_int, c_void_p, c_int64)
MUTATOR = PYFUNCTYPE(c_int64, c_void_p, c_int64, c_int64, c_uint32)
FEATURES = 4096
# cycles are few, and to look for them costs more than a case
COLLECT_EVERY = 1 << 16
# a log of so many bytes takes as long as hundreds of others: one of a few such inputs is folded
LARGE_BYTES, FEW = 32 * 1024, 16


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
    library, dll = harness(path)
    met = (c_uint8 * FEATURES).in_dll(dll, "songlo_met")

    def one(address: int, size: int) -> int:
        data = string_at(address, size)
        failed, case = None, case_of(data)
        if sum(len(step.batches.data) for step in case.steps) > LARGE_BYTES and crc32(data) % FEW:
            return 0
        try:
            for feature in judge(case, library):
                met[feature] = 1
        except Exception as error:  # noqa: BLE001  # in a callback of C nobody would see it
            failed = type(error).__name__
        if failed:  # what the error held on to is free by now
            findings.add(kind_of(data, library) or f"unsteady-{failed}", data)
            met[FEATURES - 1] = 1
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


def tell(path: Path, inputs: Sequence[str]) -> bool:
    """Tell each input in words, as long as none ends the process; whether the folds agree on all."""
    library, _ = harness(path)
    agreed = True
    with made_once():
        for data in (Path(name).read_bytes() for name in inputs):
            for each in told(data, library):
                sys.stdout.write(f"{each}\n")
                sys.stdout.flush()
            agreed &= kind_of(data, library) is None
    return agreed


def shorten(path: Path, inputs: Sequence[str]) -> None:
    """Leave out of each input what its kind of difference does not need."""
    library, _ = harness(path)
    with made_once():
        for name in map(Path, inputs):
            name.write_bytes(shortened(name.read_bytes(), library))


def main(library: str, findings: str, program: str, *flags: str) -> int:
    """What the program of a campaign runs: libFuzzer, or `tell` or `shorten` with inputs."""
    os.environ.pop("LD_PRELOAD", None)  # of what libFuzzer starts, each loads what it needs
    match flags:
        case ["tell", *inputs]:
            return 0 if tell(Path(library), inputs) else 1
        case ["shorten", *inputs]:
            shorten(Path(library), inputs)
        case _:
            CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # with the campaign, however that ends
            fuzz(Path(library), Findings(Path(findings)), [program, *flags])
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
