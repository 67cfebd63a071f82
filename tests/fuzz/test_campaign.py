"""`infra/fuzz` for some seconds, where Clang is; it installs none here."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.cases import bytes_of
from tests.fuzz.corpus import read_files
from tests.fuzz.steps import Form, Piece

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fuzz() -> "list[str]":
    """The command."""
    if shutil.which("clang") is None:
        pytest.skip("no clang: `infra/fuzz` installs it")
    return [sys.executable, "-P", "-m", "tests.fuzz"]


def run(command: list[str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, *arguments],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_campaign_counts_and_keeps_what_it_met(fuzz: list[str], tmp_path: Path) -> None:
    """It ends in time, says executions and edges, and its inputs are there for the next one."""
    done = run(fuzz, "--minutes", "0.1", "--jobs", "2", "--home", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    said, end = done.stdout.splitlines()[-2:]
    assert end == "nothing found"
    match = re.match(r"([\d,]+) executions .* ([\d,]+) of [\d,]+ edges", said)
    assert match
    executions, edges = (int(group.replace(",", "")) for group in match.groups())
    assert executions > 500
    assert edges > 500
    assert len(list(read_files(tmp_path / "inputs"))) > 500


def test_an_input_is_told_in_words(fuzz: list[str], tmp_path: Path) -> None:
    """Stream, form, rules, what is folded, and the answer."""
    path = tmp_path / "one.input"
    path.write_bytes(bytes_of(0, Form.MESSAGES, [Piece(b'{"event_id":1}', 0, 0, 0)]))
    done = run(fuzz, "--home", str(tmp_path), "--replay", str(path))
    assert done.returncode == 0, done.stderr
    assert "stream parking, messages" in done.stdout
    assert '{"event_id":1}' in done.stdout
    assert done.stdout.endswith("both folds agree\n")
