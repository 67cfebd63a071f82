"""A library that does not belong to the Python code is found out when it is loaded, and never folds."""

import shutil
import subprocess
from ctypes import PyDLL, Structure, c_uint64
from pathlib import Path

import pytest

from streams.engine import WrongLibraryError, choose_engine
from streams.native.build import COMPILERS, FLAGS, SOURCE, compile_command, source_version
from streams.native.layout import LayoutError, check_layout
from streams.native.library import CONSTANTS, STRUCTURES, Library, Shared
from streams.registry import load_streams
from tests.support.engines import library

STREAMS = list(load_streams().values())


def made_of(source: Path, library: Path) -> Path:
    """The library of a source, quickly compiled."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)))
    flags = [f for f in FLAGS if f != "-O3"]
    subprocess.run(compile_command(compiler, library, source, flags), check=True)
    return library


def compiled(folder: Path, *change: str) -> tuple[Path, Path]:
    """Another version of the source, with one text of its tables or its state replaced, and its library."""
    library()
    source = Path(shutil.copytree(SOURCE.parent, folder / "c")) / SOURCE.name
    if change:
        texts = {path: path.read_text("utf-8") for path in map(source.with_name, ("rules.h", "state.h"))}
        (changed,) = (path for path, text in texts.items() if change[0] in text)
        changed.write_text(texts[changed].replace(*change, 1), "utf-8")
    return source, made_of(source, folder / "fold.so")


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (("t folded, duplicates, late;", "t duplicates, folded, late;"), r"shared.duplicates is .* at \d+"),
        (("t waiting, late_waiting,", "t other, waiting, late_waiting,"), r"shared is \d+ bytes to Python, "),
        (("int64_t default_number;", "double default_number;"), "default_number is a signed .* a float of 8"),
        (("int32_t kind, flags;", "int64_t kind; int32_t flags;"), "field_rule is 72 bytes to Python, 80"),
        (("{ EVENT, SCALED,", "{ SCALED, EVENT,"), "EVENT is 0 to Python, 1 to it"),
    ],
    ids=["swapped", "added", "retyped", "widened", "renumbered"],
)  # fmt: skip
def test_a_layout_that_differs_is_named(change: tuple[str, str], difference: str, tmp_path: Path) -> None:
    """Also where the version is right, as it is when only one side of a change was made."""
    source, made = compiled(tmp_path, *change)
    with pytest.raises(LayoutError, match=difference):
        check_layout(PyDLL(str(made)), source_version(source), STRUCTURES, CONSTANTS)


def test_what_only_one_side_knows_differs(tmp_path: Path) -> None:
    """A field or a constant that was added to Python or to C alone."""
    source, made = compiled(tmp_path)
    dll, version = PyDLL(str(made)), source_version(source)
    check_layout(dll, version, STRUCTURES, CONSTANTS)

    class More(Structure):
        _fields_ = (*Shared._fields_, ("more", c_uint64))

    with pytest.raises(LayoutError, match=r"shared is \d+ bytes to Python, "):
        check_layout(dll, version, {**STRUCTURES, "shared": More}, CONSTANTS)
    with pytest.raises(LayoutError, match="MEDIAN is 7 to Python, nothing to it"):
        check_layout(dll, version, STRUCTURES, {**CONSTANTS, "MEDIAN": 7})
    fewer = {name: value for name, value in CONSTANTS.items() if name != "ELAPSED"}
    with pytest.raises(LayoutError, match="ELAPSED is nothing to Python, 2 to it"):
        check_layout(dll, version, STRUCTURES, fewer)


@pytest.mark.parametrize("choice", ["auto", "native"])
def test_a_worker_does_not_start_with_a_library_of_another_version(
    choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it fold in Python as if nothing were wrong; it names the file and what to do."""
    _, made = compiled(tmp_path, "/* memory held */", "/* bytes */")
    monkeypatch.setattr("streams.engine.find", lambda _: made)
    with pytest.raises(WrongLibraryError, match=r"fold\.so .* its version is .*SONGLO_FOLD=plain"):
        choose_engine(choice, tmp_path, STREAMS)


def test_a_library_that_can_t_tell_is_of_another_version(tmp_path: Path) -> None:
    """Those from before the check have nothing to tell it."""
    library()
    source = tmp_path / "fold.c"
    source.write_text("void *songlo_new(const void *rule) { return (void *)rule; }", "utf-8")
    with pytest.raises(LayoutError, match="no songlo_layout"):
        Library(made_of(source, tmp_path / "fold.so"))
