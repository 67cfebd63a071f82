"""Set-up builds the compiled fold where it can, and goes on without it where it can't."""

import io
from pathlib import Path

import pytest

from infra.setup import fold
from infra.setup.progress import SetupError, SetupProgress
from streams.native.build import BuildError, NoCompilerError


def test_a_compiler_is_installed_when_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built on the second try, with the compiler that was installed in between."""
    tools: list[str] = []

    def build(folder: Path) -> Path:
        if not tools:
            raise NoCompilerError("no C compiler")
        return folder / "fold.so"

    monkeypatch.setattr(fold, "build", build)
    monkeypatch.setattr(fold, "install_compiler", lambda _: tools.append("gcc"))
    assert fold.require_fold(tmp_path, SetupProgress(io.StringIO())) == tmp_path / "fold.so"
    assert tools == ["gcc"]


@pytest.mark.parametrize("error", [BuildError("cc can't compile fold.c"), SetupError("type: sudo apt-get")])
def test_set_up_goes_on_without_it(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what that costs, and why it is so."""

    def build(_: Path) -> Path:
        raise error

    monkeypatch.setattr(fold, "build", build)
    said = io.StringIO()
    assert fold.require_fold(tmp_path, SetupProgress(said)) is None
    assert said.getvalue() == f"Workers will fold in Python, at several times the CPU: {error}\n"


def test_what_the_wheel_brought_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is what set-up has built before."""
    packed = tmp_path / "fold.so"
    packed.touch()
    monkeypatch.setattr("streams.native.build.PACKED", packed)
    monkeypatch.delattr(fold, "build")
    assert fold.require_fold(tmp_path / "made", SetupProgress(io.StringIO())) == packed
