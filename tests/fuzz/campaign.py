"""Processes of libFuzzer side by side, for a time: they share inputs, and one that dies is started again."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# an event is a few hundred bytes; longer inputs are slow, and find little
FLAGS = (
    "-max_len=1500", "-len_control=50", "-timeout=60", "-rss_limit_mb=2500", "-reload=1",
    "-print_final_stats=1",
)  # fmt: skip
SANITIZERS = "detect_leaks=0:malloc_context_size=8:quarantine_size_mb=8:handle_abort=1"
# a process that dies sooner than this each time finds nothing new
SHORT_SECONDS, MOST_SHORT = 20, 3
TICK_SECONDS, TELL_SECONDS = 0.5, 30
_status = re.compile(r"#(\d+)\s+\w+\s+(?:cov: (\d+) )?(?:ft: (\d+) )?corp: (\d+)")
_edges = re.compile(r"\((\d+) inline 8-bit counters\)")


@dataclass(slots=True)
class Counts:
    """What a process has done: executions, edges met and of how many, features, inputs kept."""

    executions: int = 0
    edges: int = 0
    of_edges: int = 0
    features: int = 0
    inputs: int = 0


@dataclass(slots=True)
class Total:
    """What all processes have done, in so many seconds of CPU, and how often one died."""

    counts: Counts = field(default_factory=Counts)
    seconds: float = 0
    deaths: int = 0


def write_script(path: Path, library: Path, runtime: Path, findings: Path) -> Path:
    """The fuzzer as a program, which libFuzzer starts again by itself."""
    environ = shlex.join([f"LD_PRELOAD={runtime}", f"ASAN_OPTIONS={SANITIZERS}", f"PYTHONPATH={ROOT}"])
    command = shlex.join([sys.executable, "-P", "-m", "tests.fuzz.worker", str(library), str(findings)])
    path.write_text(f'#!/bin/sh\nexec env {environ} {command} "$0" "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


class Job:
    """One process after the other, until the time is over."""

    def __init__(self, command: Sequence[str], log: Path, until: float) -> None:
        self._command, self._log, self._until = command, log, until
        self._before, self._short, self._seconds_before = 0, 0, 0.0
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self._began, self._seconds = time.monotonic(), 0.0
        left = max(1, round(self._until - self._began))
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [*self._command, f"-max_total_time={left}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def goes_on(self) -> bool:
        """Whether it runs; one that has died is started again, unless it dies at once each time."""
        self._seconds = max(self._seconds, _cpu_seconds(self._child.pid))
        status = self._child.poll()
        if status is None:
            return True
        if not status:
            return False
        self.deaths += 1
        now = time.monotonic()
        self._short = self._short + 1 if now - self._began < SHORT_SECONDS else 0
        if now >= self._until or self._short >= MOST_SHORT:
            return False
        self._before = self.counts().executions
        self._seconds_before += self._seconds
        self._log.replace(self._log.with_suffix(f".{self.deaths}.log"))
        self._start()
        return True

    @property
    def seconds(self) -> float:
        """Of CPU, up to the last look."""
        return self._seconds_before + self._seconds

    def stop(self) -> None:
        """End it now."""
        self._child.terminate()
        self._child.wait()

    def counts(self) -> Counts:
        """As its log says."""
        text = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        found, edges = Counts(self._before), _edges.search(text)
        found.of_edges = int(edges[1]) if edges else 0
        for match in _status.finditer(text):
            done, cov, features, inputs = (int(group or 0) for group in match.groups())
            found.executions = self._before + done
            found.edges, found.features = max(found.edges, cov), max(found.features, features)
            found.inputs = inputs
        return found


def run(script: Path, home: Path, minutes: float, jobs: int, say: Callable[[str], None]) -> Total:
    """Fuzz for so long with inputs, words and findings of `home`."""
    began = time.monotonic()
    until = began + minutes * 60
    command = [
        str(script),
        *FLAGS,
        f"-dict={home / 'words'}",
        f"-artifact_prefix={home / 'findings'}/",
        str(home / "inputs"),
    ]
    running = [Job(command, home / f"job-{i}.log", until) for i in range(jobs)]
    tell_at = began + TELL_SECONDS
    try:
        while sum(job.goes_on() for job in running):
            time.sleep(TICK_SECONDS)
            if time.monotonic() > tell_at:
                tell_at += TELL_SECONDS
                say(line(_sum(running)))
    finally:
        for job in running:
            job.stop()
    return _sum(running)


def _cpu_seconds(process: int) -> float:
    """What a process has used; 0 when it is gone, or this system does not tell."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text("ascii", "replace")
    except OSError:
        return 0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _sum(jobs: Sequence[Job]) -> Total:
    counts = [job.counts() for job in jobs]
    most = Counts(
        sum(c.executions for c in counts),
        *(max(getattr(c, name) for c in counts) for name in ("edges", "of_edges", "features", "inputs")),
    )
    return Total(most, sum(job.seconds for job in jobs), sum(job.deaths for job in jobs))


def line(total: Total) -> str:
    """In a line: executions, their rate on a core, edges, features."""
    c = total.counts
    rate = c.executions / max(1, total.seconds)
    died = f", {total.deaths} times a process died" if total.deaths else ""
    return (
        f"{c.executions:,} executions in {total.seconds / 60:,.1f} minutes of CPU ({rate:,.0f}/s), "
        f"{c.edges:,} of {c.of_edges:,} edges, {c.features:,} features, {c.inputs:,} inputs{died}"
    )


def minimised(script: Path, inputs: Path, into: Path) -> None:
    """The inputs that are needed to meet all that all of them meet; raises CalledProcessError."""
    into.mkdir()
    subprocess.run(
        [str(script), "-merge=1", *FLAGS, str(into), str(inputs)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
