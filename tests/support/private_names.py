"""Private names of libraries that a tree uses: `python -m tests.support.private_names [TREE]`."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("streams", "sinks")
LIBRARIES = ("faust", "aiokafka", "clickhouse_driver")
PRIVATE = re.compile(r"\b_[a-z]\w*")


def private_names(tree: Path) -> dict[str, set[str]]:
    """By file: private names of the libraries that it reads, writes, calls or overrides."""
    theirs = _words_of_libraries()
    files = (path for room in ROOMS for path in sorted((tree / room).rglob("*.py")))
    found = {
        path.relative_to(tree).as_posix(): _foreign(ast.parse(path.read_text("utf-8"))) for path in files
    }
    return {file: names & theirs for file, names in found.items() if names & theirs}


def _words_of_libraries() -> set[str]:
    folders = [
        Path(spec.origin).parent for name in LIBRARIES if (spec := PathFinder.find_spec(name)) and spec.origin
    ]
    assert len(folders) == len(LIBRARIES)
    return {
        word
        for folder in folders
        for path in folder.rglob("*.py")
        for word in PRIVATE.findall(path.read_text("utf-8"))
    }


def _foreign(module: ast.Module) -> set[str]:
    """Private names that are taken from objects without being made in this file, and overridden ones."""
    nodes = [*ast.walk(module)]
    own = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {n.attr for n in _attributes(nodes) if _is_self(n) and isinstance(n.ctx, ast.Store)}
    used = {n.attr for n in _attributes(nodes) if n.attr not in own or not _is_self(n)}
    overridden = {
        item.name
        for n in nodes
        if isinstance(n, ast.ClassDef) and n.bases
        for item in n.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return {name for name in used | overridden if PRIVATE.fullmatch(name)}


def _attributes(nodes: list[ast.AST]) -> Iterator[ast.Attribute]:
    return (n for n in nodes if isinstance(n, ast.Attribute))


def _is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


if __name__ == "__main__":
    by_file = private_names(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    for file, names in by_file.items():
        print(f"{file}: {', '.join(sorted(names))}")
    print(len(set().union(*by_file.values())), "private names of", ", ".join(LIBRARIES))
