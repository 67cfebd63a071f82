"""One run of one contender: started on its core, measured from `ready` to `done`, its windows checked."""

import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infra.stack.process.service import last_lines, tethered
from tests.bench.environment import ROOT
from tests.bench.load import MINUTE_MS, T0_MS, Load, Windows, camera_index
from tests.bench.processes import Usage, usage

STOP_SECONDS = 60.0


class RunError(Exception):
    """A contender did not do its run; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run cost. `beside` is the processor time of other processes, by name, in seconds."""

    events: int
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    beside: Mapping[str, float]

    @property
    def cpu_us(self) -> float:
        """Microseconds of processor time per event."""
        return self.cpu_seconds * 1e6 / self.events

    @property
    def per_second(self) -> float:
        """Events per second."""
        return self.events / self.wall_seconds


@dataclass(frozen=True, slots=True)
class Place:
    """Where contenders run: Kafka's address, the core that they are pinned to (None: not pinned), and a
    directory for their files. `beside` names processes whose processor time is noted too.
    """

    brokers: str
    core: int | None
    work: Path
    beside: Mapping[str, int]


def run(
    command: Sequence[str], load: Load, place: Place, name: str, options: Mapping[str, str], timeout: float
) -> tuple[Sample, Path]:
    """Run a contender over a load; returns what it cost, and the file with its windows.

    Raises RunError when it fails, or takes more than `timeout` seconds.
    """
    work, log = place.work / name, place.work / f"{name}.log"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    out = place.work / f"{name}.windows"
    given = ["--brokers", place.brokers, "--topic", load.topic, "--events", str(load.events)]
    given += ["--partitions", str(load.partitions), "--run", name, "--work", str(work), "--out", str(out)]
    given += [part for key, value in options.items() for part in ("--option", f"{key}={value}")]
    pinned = ["taskset", "-c", str(place.core)] if place.core is not None else []
    with log.open("wb") as errors:
        child = subprocess.Popen(
            tethered([*pinned, *command, *given]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:
        sample = _measure(child, load, place.beside, time.monotonic() + timeout)
        status = child.wait(STOP_SECONDS + timeout)
    except (RunError, subprocess.TimeoutExpired, OSError) as e:
        raise RunError(f"{name}: {e}{last_lines(log)}") from e
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()
    if status:
        raise RunError(f"{name}: exit status {status}{last_lines(log)}")
    shutil.rmtree(work)  # after a failure it stays, to be looked into
    return sample, out


def read_windows(file: Path) -> Windows:
    """The windows that a contender wrote; of one written twice the last counts."""
    found: Windows = {}
    with file.open(encoding="ascii") as lines:
        for line in lines:
            camera, start, events, total, top = line.rstrip().split(",")
            key = (camera_index(camera), (int(start) - T0_MS) // MINUTE_MS)
            found[key] = (int(events), round(float(total) * 10), round(float(top) * 10))
    return found


def _measure(
    child: "subprocess.Popen[bytes]", load: Load, beside: Mapping[str, int], deadline: float
) -> Sample:
    assert child.stdin and child.stdout  # noqa: S101, PT018  # for the type checker: both are pipes
    lines = _Lines(child.stdout, deadline)
    _, process, cpu_before, began = lines.wait_for("ready")
    pid, others = int(process), _cpu(beside)
    lines.wait_for("done")
    ended = time.monotonic()
    after, others_after = usage(pid), _cpu(beside)
    child.stdin.write(b"\n")
    child.stdin.flush()
    return Sample(
        events=load.events,
        cpu_seconds=after.cpu_seconds - float(cpu_before),
        wall_seconds=ended - float(began),
        peak_mb=after.peak_mb,
        beside={name: others_after[name] - others[name] for name in beside},
    )


def _cpu(processes: Mapping[str, int]) -> dict[str, float]:
    found: dict[str, Usage] = {name: usage(pid) for name, pid in processes.items()}
    return {name: used.cpu_seconds for name, used in found.items()}


class _Lines:
    """Lines of a child's output, awaited until a deadline; those that are not signals are passed over."""

    def __init__(self, pipe: IO[bytes], deadline: float) -> None:
        self._pipe, self._deadline, self._rest = pipe, deadline, b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe, selectors.EVENT_READ)

    def wait_for(self, signal: str) -> list[str]:
        """The words of the first line that begins with `signal`."""
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                words = line.decode(errors="replace").split()
                if words[:1] == [signal]:
                    return words
            left = self._deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise RunError(f"not {signal} in time")
            part = os.read(self._pipe.fileno(), 65_536)
            if not part:
                raise RunError(f"ended before it was {signal}")
            self._rest += part
