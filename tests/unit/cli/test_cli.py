"""The command line: its help, its errors, and what it costs to start."""

import json
import os
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import infra.cli
from infra.cli import HELP, IN_CLONE, VERSION, cli
from infra.cli.common import run

SHARED = {"common", "progress", "__main__"}
HEAVY = ("kafka", "rich", "faust", "aiokafka", "clickhouse_driver", "asyncio", "msgspec")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing runs, and nothing is set, whatever the environment of the tests."""
    for name in [n for n in os.environ if n.startswith("SONGLO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SONGLO_HOME", str(tmp_path))


def test_every_command_is_listed_and_there() -> None:
    """Each name of the help is a module with a command, and each such module is in the help."""
    modules = {m.name for m in pkgutil.iter_modules(infra.cli.__path__)} - SHARED
    assert modules | set(IN_CLONE) == set(HELP)


@pytest.mark.parametrize("name", HELP)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` works without settings or a stack, and says more than the name."""
    assert run(cli, [name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"songlo {name}" in out
    assert len(out) > 150


@pytest.mark.parametrize("name", IN_CLONE)
def test_what_a_clone_alone_has_says_so_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wheel carries no tests: one line, and nothing of what else may be called so there is imported."""
    monkeypatch.setattr(infra.cli, "ROOT", tmp_path)
    assert run(cli, [name, "--help"]) == 1
    assert capsys.readouterr().err == (
        f"songlo: `songlo {name}` is not installed: run infra/songlo {name} in a clone\n"
    )
    assert run(cli, ["--help"]) == 0


def test_help_needs_no_heavy_import() -> None:
    """`songlo --help` must answer at once: the vendors are imported by the commands that need them."""
    code = f"import infra.cli, sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_misspelt_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage: exit status 2, one line."""
    assert run(cli, ["prodcue"]) == 2
    assert (
        capsys.readouterr().err
        == "songlo: no command 'prodcue', did you mean 'produce'? (see `songlo --help`)\n"
    )


@pytest.mark.parametrize(
    ("args", "status", "expected"),
    [
        (["produce", "cam"], 2, "'cam' is no stream: one of camera, qr, service"),
        (["produce", "camera", "/no/such/file"], 2, "does not exist"),
        (["lag"], 2, "nothing is running in"),
        (["sql", "SELECT 1"], 2, "start it with `songlo up`, or set SONGLO_CLICKHOUSE_HTTP"),
        (["sql", " "], 1, "the query is empty"),
        (["simulate", "--stdout"], 2, "--stdout prints one stream"),
        (["simulate", "--rate", "0"], 2, "rate is 0.0"),
        (["simulate", "--at", "25:00"], 2, "must be HH:MM"),
        (["simulate", "--start", "2025-11-24T07:30:00"], 2, "+07:00"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(
    args: list[str], status: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, no usage screen."""
    assert run(cli, args) == status
    err = capsys.readouterr().err
    assert err.startswith("songlo: ")
    assert err.count("\n") == 1
    assert expected in err


def test_a_wrong_setting_is_said_by_any_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and the setting that was probably meant."""
    monkeypatch.setenv("SONGLO_BROKER", "x:1")
    assert run(cli, ["lag"]) == 2
    assert "did you mean SONGLO_BROKERS?" in capsys.readouterr().err


def failing(error: Exception) -> click.Command:
    """A command that fails with this."""

    @click.command()
    def command() -> None:
        raise error

    return command


def test_an_unexpected_error_names_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    """A defect is told from a mistake, and how to see where it is."""
    assert run(failing(ValueError("two\nlines")), []) == 1
    assert capsys.readouterr().err == "songlo: ValueError: two lines (SONGLO_DEBUG=1 shows where)\n"


def test_debug_lets_the_traceback_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who look for the defect."""
    monkeypatch.setenv("SONGLO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()), [])


def test_an_interrupt_is_no_error_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C: 128 + SIGINT, as shells have it."""

    @click.command()
    def command() -> None:
        raise KeyboardInterrupt

    assert run(command, []) == 130
    assert capsys.readouterr().err.strip() == "songlo: interrupted"


def test_settings_lists_all_and_hides_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its variable, value and meaning."""
    monkeypatch.setenv("SONGLO_CLICKHOUSE_PASSWORD", "geheim")
    assert run(cli, ["settings", "--json"]) == 0
    found = {s["variable"]: s for s in json.loads(capsys.readouterr().out)}
    assert found["SONGLO_PARTITIONS"]["value"] == 6
    assert found["SONGLO_CLICKHOUSE_PASSWORD"]["value"] == "***"
    assert found["SONGLO_CLICKHOUSE_PASSWORD"]["set"] is True


def test_settings_fit_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest meaning is wrapped."""
    monkeypatch.setenv("SONGLO_HOME", "/h")
    monkeypatch.setenv("SONGLO_CACHE", "/c")
    assert run(cli, ["settings"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_version_is_that_of_the_project() -> None:
    """Said in two places, so that the help needs no metadata."""
    project = Path(infra.cli.__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == VERSION


def test_simulate_prints_lines_for_produce(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """One event per line, the same for the same seed and start."""
    args = ["simulate", "--stdout", "--stream", "qr", "--duration", "20", "--rate", "5"]
    args += ["--start", "2025-11-24T08:00:00+07:00"]
    outs = []
    for _ in range(2):
        assert run(cli, args) == 0
        outs.append(capfdbinary.readouterr().out)
    assert outs[0] == outs[1]
    assert all("merchant_id" in json.loads(line) for line in outs[0].splitlines())


def test_completion_scripts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """For each shell that click knows."""
    for shell in ("bash", "zsh", "fish"):
        assert run(cli, ["completion", shell]) == 0
        assert "_SONGLO_COMPLETE" in capsys.readouterr().out
