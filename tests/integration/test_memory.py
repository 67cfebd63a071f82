"""What a process takes while it may not write, whatever it is sent: a process of its own for each load."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engines import library
from tests.support.loads import ALL, LOADS, MB, PENDING_BYTES, UNPACK_BYTES

# a poll and its making: a batch of 8 MB is there in four copies, and decoded it takes as much again
BESIDE_BYTES = {"native": 48 * MB, "plain": 96 * MB}


# unpacked, what is refused comes to the plain fold as it does when it was sent so
UNPACKED_ALIKE = {"compressed garbage", "compressed nulls"}
CASES = [
    *((load, "native") for load in (*LOADS, ALL)),
    *((load, "plain") for load in (*LOADS, ALL) if load not in UNPACKED_ALIKE),
]


@pytest.mark.parametrize(("load", "engine"), CASES)
def test_memory_is_twice_what_may_wait_and_the_open_windows(load: str, engine: str) -> None:
    """Captured and under way to a sink that does not answer, and again as much that waits."""
    library()
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.loads", load, engine],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    unpacks = 2 * UNPACK_BYTES if load == ALL or "compressed" in load else 0
    assert told["flushes"] == 3
    assert told["pending"] > PENDING_BYTES // 2
    assert told["took"] < 2 * PENDING_BYTES + told["open"] + unpacks + BESIDE_BYTES[engine], told
