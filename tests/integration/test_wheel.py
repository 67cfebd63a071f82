"""The wheel as a stranger installs it: built by pip, used where neither the clone nor a compiler is."""

import json
import os
import platform
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4
from zipfile import ZipFile

import pytest

from streams.worker.errors import EXIT_OK
from tests.support.engines import library
from tests.support.events import camera_event
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("schemas", "streams", "sinks", "infra")
# they belong to a clone
LAUNCHERS = {"infra/songlo", "infra/up", "infra/test", "infra/setup/launch.sh"}
FOLD = "streams/native/fold.so"
EVENTS = 300


class Stack(Protocol):
    """Addresses of the stack that tests share."""

    brokers: str
    clickhouse: str
    clickhouse_http: str


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel in it; its commands see no other folder, and no compiler."""

    bin: Path
    home: Path

    def environ(self, **settings: str) -> dict[str, str]:
        """All that its processes know."""
        kept = {"HOME": str(self.home), "PATH": str(self.bin), "LANG": "C.UTF-8"}
        return kept | {f"SONGLO_{name.upper()}": value for name, value in settings.items()}

    def run(self, *command: str, stdin: bytes = b"", **settings: str) -> str:
        """What a command prints; it must succeed."""
        done = subprocess.run(
            [self.bin / command[0], *command[1:]], env=self.environ(**settings), cwd=self.home,
            input=stdin, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


def pip_wheel(into: Path, path: str) -> tuple[Path, str]:
    """The wheel of this tree, and what pip and the backend said; `path` is where a compiler is looked for."""
    kept = {n: v for n, v in os.environ.items() if n != "PYTHONPATH" and not n.startswith("SONGLO_")}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "-w", str(into), str(ROOT)],
        env={**kept, "PATH": path}, cwd=into, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = into.glob("*.whl")
    return made, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with a compiler."""
    library()
    return pip_wheel(tmp_path_factory.mktemp("wheel"), os.environ["PATH"])[0]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment of its own. What Songlo depends on is that of the lock file, which is here already."""
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home / "env")], check=True)
    paths = {"base": str(home / "env"), "platbase": str(home / "env")}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (site / "locked.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "env/bin/python"), "install"]
    # without an index, so that what is missing of its dependencies is an error
    subprocess.run([*pip, "--no-index", str(wheel)], cwd=home, check=True, capture_output=True)
    return Installed(home / "env/bin", home)


def packed(wheel: Path) -> set[str]:
    """The files of a wheel, but for those about it."""
    return {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}


def in_tree() -> set[str]:
    """The files of the four rooms that belong into it."""
    files = {p.relative_to(ROOT) for room in ROOMS for p in (ROOT / room).rglob("*") if p.is_file()}
    return {f.as_posix() for f in files if "__pycache__" not in f.parts} - LAUNCHERS


def test_the_wheel_has_all_that_is_in_the_tree(wheel: Path) -> None:
    """And the compiled fold, for this platform and any Python; nothing of the tests. The tree stays clean."""
    assert wheel.name == f"songlo-0.1.0-py3-none-linux_{platform.machine()}.whl"
    assert packed(wheel) == in_tree() | {FOLD}
    assert not any((ROOT / name).exists() for name in ("build", "songlo.egg-info", FOLD))


def test_without_a_compiler_the_wheel_is_pure_and_says_so(tmp_path: Path) -> None:
    """It lacks nothing else."""
    made, said = pip_wheel(tmp_path, "/nowhere")
    assert made.name == "songlo-0.1.0-py3-none-any.whl"
    assert packed(made) == in_tree()
    assert "The wheel will fold in Python, at several times the CPU: no C compiler" in said


def test_commands_come_from_the_wheel(installed: Installed) -> None:
    """The help lists them; settings have their values; no module is the clone's."""
    assert "worker" in installed.run("songlo", "--help")
    settings = json.loads(installed.run("songlo", "settings", "--json", group="mine"))
    assert {"SONGLO_GROUP": "mine", "SONGLO_FOLD": "auto"}.items() <= {
        s["variable"]: s["value"] for s in settings
    }.items()
    for room in ROOMS:
        file = installed.run("python", "-c", f"import {room}; print({room}.__file__)")
        assert Path(file).is_relative_to(installed.home)


def test_a_worker_from_the_wheel_counts_by_compiled_code(installed: Installed, stack: Stack) -> None:
    """It asks for nothing but Kafka, ClickHouse and its package: no cache, no compiler, no clone."""
    name = f"wheel_{uuid4().hex[:8]}"
    settings = {
        "brokers": stack.brokers, "clickhouse": stack.clickhouse, "clickhouse_http": stack.clickhouse_http,
        "clickhouse_database": name, "group": name, "cache": str(installed.home / "no-cache"),
        "fold": "native", "flush_ms": "100",
    }  # fmt: skip
    events = [camera_event(f"{name}-{n}", n / 10, camera_id=f"{name}-{n % 7}") for n in range(EVENTS)]
    for command in ("topics", "migrate"):
        installed.run("songlo", command, **settings)
    # each twice, to be counted once
    lines = "\n".join(json.dumps(event) for event in events * 2).encode()
    installed.run("songlo", "produce", "camera", stdin=lines, **settings)
    with worker(installed, settings) as log:
        installed.run("songlo", "drain", "--timeout", "50", **settings)
        counted = f"SELECT sum(events) FROM camera_minute WHERE startsWith(camera_id, '{name}')"
        assert installed.run("songlo", "sql", counted, "--format", "TSV", **settings) == f"{EVENTS}\n"
    assert "folding by compiled code" in log.read_text("utf-8")
    assert not (installed.home / "no-cache").exists()


@contextmanager
def worker(installed: Installed, settings: dict[str, str]) -> Iterator[Path]:
    """A worker that is ready; stopped as asked at the end. Its log."""
    log, status = installed.home / "worker.log", installed.home / "worker.json"
    command = [installed.bin / "songlo", "worker", "--status", status]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=installed.environ(**settings), cwd=installed.home, stdout=out, stderr=out
        )
    try:
        eventually(lambda: process.poll() is not None or _state(status) == "ready", 60)
        assert process.poll() is None, log.read_text("utf-8")
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == EXIT_OK
    finally:
        process.kill()
        process.wait()


def _state(status: Path) -> object:
    return json.loads(status.read_text("utf-8"))["state"] if status.exists() else None
