"""What a worker's state weighs: measured in processes of their own, so that nothing else is counted."""

import os
import subprocess
import sys
from dataclasses import replace

from infra.settings.environment import load_settings
from streams.core.rules import Rules
from streams.core.values import PackedBatches, Progress
from streams.engine import choose_engine
from tests.bench.environment import ROOT
from tests.bench.load import T0_MS, Load, message, readings
from tests.bench.songlo import spec_for
from tests.support.events import packed

MANY = 200_000
BATCH = 1000


def bytes_each() -> dict[str, int]:
    """Bytes of resident memory per open row, and per remembered id."""
    # a camera each, and no ids; one camera, and an id for each event
    return {"row": _weigh("rows", MANY), "id": _weigh("ids", MANY)}


def _weigh(what: str, number: int) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory", what, str(number)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def _grow(what: str, number: int) -> int:
    spec = replace(spec_for("bench"), dedupe=what == "ids")
    settings = load_settings(os.environ)
    engine, _ = choose_engine(settings.fold, settings.library_folder, [spec])
    state = engine.new_fold(spec, Rules(), Progress(spec.name, spec.topic, 0))
    # a first batch, so that what is made once is not counted
    state.fold(_batch(0, 1, what))
    before = _resident_bytes()
    for first in range(1, number, BATCH):
        state.fold(_batch(first, min(BATCH, number - first), what))
        state.capture()
    return (_resident_bytes() - before) // number


def _batch(first: int, number: int, what: str) -> PackedBatches:
    reading = next(iter(readings(Load(1))))
    values = [
        message(n, (n if what == "rows" else 0, T0_MS + 1000, reading[2], reading[3]))
        for n in range(first, first + number)
    ]
    return packed(first, first + number, T0_MS + 3_600_000, values)


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # read twice, nothing else
        return int(file.read().split()[1]) * 4096


if __name__ == "__main__":
    print(_grow(sys.argv[1], int(sys.argv[2])))
