"""What a second core is worth on this machine: two that share their insides are less than twice one."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from infra.settings.environment import load_settings
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.engine import choose_engine
from tests.bench.environment import ROOT
from tests.bench.load import T0_MS, Load, message, readings
from tests.bench.songlo import spec_for
from tests.support.events import packed

EVENTS, SECONDS = 50_000, 3.0
BATCH = 500


def worth_of(cores: Sequence[int]) -> float:
    """How many times as much of the fold alone these cores do at once as the first of them by itself."""
    return sum(_rates(cores)) / sum(_rates(cores[:1]))


def _rates(cores: Sequence[int]) -> list[float]:
    """Events per second of a process on each of the cores, all at the same time."""
    command = [sys.executable, "-m", "tests.bench.machine"]
    running = [
        subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for core in cores
    ]
    for child in running:
        assert child.stdout  # noqa: S101  # for the type checker: it is a pipe
        child.stdout.readline()
    for child in running:
        assert child.stdin  # noqa: S101  # as above
        child.stdin.write("\n")
        child.stdin.flush()
    return [float(child.communicate()[0]) for child in running]


def main() -> None:
    """Say when all is built, wait for a line, fold the same events again and again; print the rate."""
    spec, settings = spec_for("bench"), load_settings(os.environ)
    engine, _ = choose_engine(settings.fold, settings.library_folder, [spec])
    values = [message(n, reading) for n, reading in enumerate(readings(Load(EVENTS)))]
    batches = [
        packed(n, n + BATCH, T0_MS + 3_600_000, values[n : n + BATCH]) for n in range(0, EVENTS, BATCH)
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    began, folded = time.monotonic(), 0
    while (took := time.monotonic() - began) < SECONDS:
        state = engine.new_fold(spec, Rules(), Progress(spec.name, spec.topic, 0))
        for batch in batches:
            state.fold(batch)
        state.capture()
        folded += EVENTS
    print(folded / took)


if __name__ == "__main__":
    main()
