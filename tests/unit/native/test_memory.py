"""What the compiled fold says that it holds, against what the C library has given it and the system has."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.native.build import FLAGS, compile_command
from streams.native.compiled import CompiledFold
from streams.registry import load_streams
from tests.support.engines import engine, library, native
from tests.support.events import T0_MS, camera_event, message, packed

SPEC = load_streams()["camera"]
EVENTS = 60_000
KINDS = ("minutes", "rows", "ids", "bundles", "burst", "late")


class Heap(ctypes.Structure):
    """What mallinfo2 tells of glibc's heap."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    )  # fmt: skip


def events(kind: str) -> Iterator[list[bytes]]:
    """Batches of messages that make a state grow in one way."""
    for first in range(0, EVENTS, 1000):
        numbers = range(first, first + 1000)
        match kind:
            case "minutes":
                yield [message(camera_event(f"e{n}", 60 * n)) for n in numbers]
            case "rows":
                yield [
                    message(camera_event(f"e{n}", 5, camera_id=f"a camera with a long name {n}"))
                    for n in numbers
                ]
            case "late":
                many = [camera_event(f"e{n}", -3600 * (n % 900), camera_id=f"camera {n}") for n in numbers]
                yield [message(*many[:500]), *map(message, many[500:])]
            case "ids":
                yield [message(camera_event(f"e{n}", 5)) for n in numbers]
            case _:
                many = [camera_event(f"e{n}", 60 * (n // 100) if kind == "burst" else 5) for n in numbers]
                yield [message(*many[at : at + 500]) for at in (0, 500)]


def grown(name: str, kind: str) -> tuple[PlainFold, int, int, int]:
    """A state with such events in it; how much the heap, the process and what is counted grew."""
    library()
    new, far = engine(name), 4_000_000_000_000
    state: Any = new(SPEC, Rules(disorder_ms=60_000), Progress(SPEC.name, SPEC.topic, 0))
    first_s = 10_000 if kind == "late" else -120
    state.fold(packed(0, 1, far, [message(camera_event("first", first_s))]))
    heap, resident, counted = allocated(), held_by_process(), getattr(state, "memory", 0)
    for n, values in enumerate(events(kind), start=1):
        state.fold(packed(1000 * n, 1000 * n + len(values), far, values))
        values.clear()  # messages take four times their bytes here
    counted = getattr(state, "memory", 0) - counted
    return state, allocated() - heap, held_by_process() - resident, counted


def allocated() -> int:
    """Bytes of the C library's heap that are in use."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Heap
    now = mallinfo()
    return int(now.uordblks + now.hblkhd)


def held_by_process() -> int:
    """Resident bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def measured(name: str, kind: str) -> Sequence[int]:
    """What a process of its own finds: heap, resident, counted in all, pending, open."""
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("needs mallinfo2 of glibc")
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.native.test_memory", name, kind],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [*map(int, done.stdout.split())]


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_held_is_counted(kind: str) -> None:
    """Against the C library, within a few per cent; Python holds a little there too."""
    library()
    heap, _, counted, _, _ = measured("native", kind)
    assert abs(counted - heap) < 0.03 * heap + 100_000


@pytest.mark.parametrize("name", ["plain", "native"])
def test_what_waits_is_counted_as_what_it_costs(name: str) -> None:
    """Many windows of one event each: six times more than was counted, and once 4,203 bytes each."""
    library()
    _, resident, _, pending, still_open = measured(name, "minutes")
    assert 0.9 * resident < pending + still_open < 1.25 * resident
    assert pending > 0.9 * (pending + still_open)
    assert resident / EVENTS < (1700 if name == "plain" else 700)


@pytest.mark.parametrize("name", ["plain", "native"])
def test_late_events_are_counted_as_what_they_cost(name: str) -> None:
    """Also what they take from when they are captured until they are stored."""
    library()
    _, resident, _, pending, _ = measured(name, "late")
    assert 0.9 * resident < pending < 3 * resident
    assert resident / EVENTS < (1400 if name == "plain" else 450)


def test_a_burst_does_not_make_later_windows_dear() -> None:
    """A window takes what the ones before needed, not what the largest did."""
    state, at = native(SPEC, Rules(), Progress(SPEC.name, SPEC.topic, 0)), 0

    def fold(values: Sequence[bytes]) -> None:
        nonlocal at
        state.fold(packed(at, at + len(values), 4_000_000_000_000, values))
        at += len(values)

    fold([message(camera_event(f"e{n}", 5, camera_id=f"cam-{n}")) for n in range(20_000)])
    state.capture()
    full = state.memory
    fold([message(*(camera_event(f"m{n}", 600 + 60 * n) for n in range(5000)))])
    assert state.memory < full + 5000 * 700
    assert state.pending < 5000 * 700
    state.capture()
    fold([message(camera_event("last", 60 * 6000))])
    state.capture()
    assert state.memory < empty() + 20_000


def test_a_large_bundle_is_not_kept() -> None:
    """133 MB were, of one message."""
    state = native(SPEC, Rules(), Progress(SPEC.name, SPEC.topic, 0))
    many = message(*(camera_event("e", 5) for _ in range(10_000)))
    state.fold(packed(0, 1, T0_MS + 60_000, [many]))
    assert state.folded + state.progress.duplicates == 10_000
    assert state.memory < empty() + 20_000


def empty() -> int:
    """Bytes of a state of which only one event is held."""
    state: CompiledFold = native(SPEC, Rules(), Progress(SPEC.name, SPEC.topic, 0))
    state.fold(packed(0, 1, T0_MS + 60_000, [message(camera_event("e", 5))]))
    return state.memory


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compilers_have_nothing_to_say(compiler: str, tmp_path: Path) -> None:
    """With the flags of the build and all usual warnings."""
    command = compile_command(compiler, tmp_path / "fold.so", flags=(*FLAGS, "-Wall", "-Wextra", "-Werror"))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"no {compiler}")
    assert (done.returncode, done.stderr) == (0, "")


if __name__ == "__main__":
    found, in_heap, in_all, in_fold = grown(sys.argv[1], sys.argv[2])
    sys.stdout.write(f"{in_heap} {in_all} {in_fold} {found.pending} {found.open_bytes}\n")
