"""Set-up before anything is there: whole or not there, once, and an error says what to type."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.setup import tools
from infra.setup.environment import environment_directory
from infra.setup.progress import SetupError, SetupProgress
from infra.setup.store import cache_directory, is_whole, keep
from tests.support.scripts import script

ROOT = Path(__file__).resolve().parents[3]


def test_set_up_runs_on_a_bare_python() -> None:
    """It makes the environment, so it may import nothing of it."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import infra.setup.__main__"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_an_item_is_built_once_however_many_want_it(tmp_path: Path) -> None:
    """Two starts at once do not collide: the second waits and finds it whole."""
    built, item = [], tmp_path / "item"
    meet = threading.Barrier(4)

    def build(into: Path) -> None:
        built.append(1)
        (into / "part").write_text("x", encoding="utf-8")

    def want() -> None:
        meet.wait()
        assert (keep(item, build) / "part").exists()

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_half_an_item_is_built_again_from_nothing(tmp_path: Path) -> None:
    """A start that was killed leaves no damage."""

    def fail(into: Path) -> None:
        (into / "half").touch()
        raise SetupError("the network went away")

    with pytest.raises(SetupError):
        keep(tmp_path / "item", fail)
    assert not is_whole(tmp_path / "item")
    keep(tmp_path / "item", lambda into: (into / "all").touch())
    assert sorted(p.name for p in (tmp_path / "item").iterdir()) == [".complete", "all"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SONGLO_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/songlo"),
        ({"HOME": "/h"}, "/h/.cache/songlo"),
    ],
)
def test_the_cache_is_where_people_expect_it(environ: dict[str, str], expected: str) -> None:
    """The setting, else the desktop's convention, else the home."""
    assert cache_directory(environ) == Path(expected)


def test_the_environment_changes_with_the_lock(tmp_path: Path) -> None:
    """Another lock file is another environment; the same one is shared."""
    first, second = tmp_path / "first.lock", tmp_path / "second.lock"
    first.write_text("a==1\n", encoding="utf-8")
    second.write_text("a==2\n", encoding="utf-8")
    assert environment_directory(tmp_path, first) != environment_directory(tmp_path, second)
    second.write_text("a==1\n", encoding="utf-8")
    assert environment_directory(tmp_path, first) == environment_directory(tmp_path, second)


def test_a_failed_step_shows_the_command_and_its_last_lines() -> None:
    """Enough to go on with, and no more."""
    out = io.StringIO()
    code = "import sys; print('\\n'.join(f'line {n}' for n in range(100))); sys.exit(7)"
    with pytest.raises(SetupError, match=r"(?s)Something: `.*failed \(7\)\nline 85\n.*line 99$"):
        SetupProgress(out).run("Something", [sys.executable, "-c", code])
    with pytest.raises(SetupError, match="can't be started"):
        SetupProgress(out).run("Something", ["/nowhere/at-all"])


def test_progress_without_a_terminal_is_plain(tmp_path: Path) -> None:
    """No escape codes in a log file; the size of what grew is said."""
    out = io.StringIO()
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    SetupProgress(out).run("Something", [sys.executable, "-c", "pass"], grows=tmp_path)
    shown = out.getvalue()
    assert "\x1b" not in shown
    assert shown.splitlines()[0] == "  Something …"
    assert shown.splitlines()[-1].endswith(", 3 MB)")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_402"', 8),
        ("no java here", 0),
    ],
)
def test_java_versions(tmp_path: Path, said: str, version: int) -> None:
    """As the different Javas write them, on the error output."""
    java = script(tmp_path / "java", f"echo '{said}' >&2")
    assert tools.java_version(str(java)) == version
    assert tools.java_version(str(tmp_path / "none")) == 0


def test_an_old_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME may name one that is too old for the broker."""
    script(tmp_path / "old/bin/java", "echo 'openjdk version \"11.0.2\"' >&2")
    new = script(tmp_path / "path/java", "echo 'openjdk version \"21.0.2\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=os.pathsep)
    assert tools.java() == str(new)


@pytest.mark.parametrize(
    ("root", "expected"),
    [(False, "type: sudo apt-get update && sudo apt-get install -y maven"), (True, "did not bring it")],
)
def test_a_missing_tool_is_named_with_the_command_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: bool, expected: str
) -> None:
    """Where it may not be installed, or installing did not help."""
    script(tmp_path / "apt-get", "exit 0")
    script(tmp_path / "apt-cache", "echo '  Candidate: 1.0'")
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(tools.shutil, "which", _only_in(tmp_path))
    with pytest.raises(SetupError, match=expected):
        tools.require_maven(SetupProgress(io.StringIO()))


def _only_in(directory: Path) -> Callable[[str], str | None]:
    return lambda name: str(directory / name) if (directory / name).exists() else None
