"""The architecture as a test: imports point one way, and each vendor stays in its room."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# each room may import itself and the rooms before it
ROOMS = ("schemas", "streams", "sinks", "infra")
VENDORS = {
    "faust": ("streams/worker/client/", "streams/worker/app.py"),
    "mode": (),
    "aiokafka": ("streams/worker/client/",),
    "clickhouse_driver": ("sinks/clickhouse.py", "sinks/native_block.py"),
    # of workers one module, for the ids of topics, which aiokafka does not tell; the oracle for its murmur2
    "kafka": (
        "infra/kafka/",
        "streams/worker/client/identity.py",
        "tests/chaos/log.py",
        "tests/chaos/oracle.py",
    ),
    "click": ("infra/cli/", "tests/bench/command.py", "tests/chaos/command.py"),
    "rich": ("infra/cli/", "infra/view/"),
}
# within a room too: each may import itself and those before it, files that stand beside them included
ORDER = {
    "streams": (
        ("spec", "measures", "core"),
        ("sink", "shadow", "rehome", "catalog"),
        ("native",),
        ("engine", "registry", "kafka_access"),
        ("worker",),
    ),
    "streams/worker": (
        ("config", "errors", "failpoints", "values", "process", "waiting"),
        ("client",),
        (
            "partitions",
            "acknowledged",
            "telling",
            "room",
            "breakers",
            "sink_thread",
            "ending",
            "stray_shares",
        ),
        ("seeks", "switches", "runtime"),
        ("recover",),
        ("flush", "health"),
        ("upkeep",),
        ("lifecycle",),
        ("app",),
    ),
    "infra": (
        ("setup", "settings"),
        ("kafka",),
        ("operate",),
        ("demo", "stack", "view"),
        ("cli",),
    ),
    "infra/stack": (("process",), ("clickhouse", "kafka"), ("parts",), ("stack",), ("run", "supervisor")),
}
# no part of what is installed, but held to the same
MEASURING = ("tests/bench", "tests/chaos")
# what would make a decision depend on more than the log
IMPURE = {"asyncio", "datetime", "os", "random", "socket", "threading", "time", "logging"}


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, imported module) for every import of a folder's files; names are resolved to modules."""
    for path in sorted(folder.rglob("*.py")):
        if "peers" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: import by the full name"
                modules = [_resolved(node.module or "", alias.name) for alias in node.names]
            for module in modules:
                yield path.relative_to(ROOT).as_posix(), module


def _resolved(package: str, name: str) -> str:
    """`from streams import catalog` imports a module, not a name of one."""
    place = ROOT.joinpath(*package.split("."), name)
    return f"{package}.{name}" if place.is_dir() or place.with_suffix(".py").is_file() else package


def of_folder(path: str, folder: str) -> str:
    """What stands directly in the folder and holds this path; empty when it is elsewhere."""
    return (
        path.removeprefix(f"{folder}/").split("/")[0].removesuffix(".py")
        if path.startswith(f"{folder}/")
        else ""
    )


IMPORTS = [pair for room in ROOMS for pair in imports(ROOT / room)]
MEASURED = [pair for folder in MEASURING for pair in imports(ROOT / folder)]


def test_there_is_something_to_check() -> None:
    """A check that reads no file would pass for ever."""
    assert {file.split("/", maxsplit=1)[0] for file, _ in IMPORTS} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    """infra -> sinks -> streams -> schemas, never back."""
    later = ROOMS[ROOMS.index(room) + 1 :]
    wrong = [(f, m) for f, m in IMPORTS if f.startswith(f"{room}/") and m.split(".")[0] in (*later, "tests")]
    assert wrong == []


def test_the_oracle_shares_nothing_with_the_fold() -> None:
    """Of the project it has the schemas alone, or an error of the fold could be an error of its judge."""
    files = ("tests/chaos/oracle.py", "tests/chaos/readings.py")
    found = {m for file, m in MEASURED if file in files and m.split(".")[0] in (*ROOMS, "tests")}
    assert {m for m in found if not m.startswith("schemas.")} == {"tests.chaos.log", "tests.chaos.readings"}


@pytest.mark.parametrize("folder", ORDER)
def test_imports_point_one_way_within_a_room(folder: str) -> None:
    """What is listed later imports what is listed before, never back; those of one line not each other."""
    rank = {name: number for number, names in enumerate(ORDER[folder]) for name in names}
    wrong = []
    for file, module in IMPORTS:
        here, there = of_folder(file, folder), of_folder(f"{module.replace('.', '/')}/", folder)
        if here not in ("", "__init__") and there and here != there:
            late = rank[there] > rank[here]
            beside = (
                rank[there] == rank[here]
                and (ROOT / folder / here).is_dir()
                and (ROOT / folder / there).is_dir()
            )
            wrong += [(file, module)] if late or beside else []
    assert wrong == []


@pytest.mark.parametrize("folder", ORDER)
def test_the_order_names_all_that_is_there(folder: str) -> None:
    """A new module or room has to be given its place."""
    there = {
        p.name.removesuffix(".py")
        for p in (ROOT / folder).iterdir()
        if p.suffix == ".py" or (p / "__init__.py").is_file()
    }
    assert there - {"__init__", "__main__"} == {name for names in ORDER[folder] for name in names}


def test_the_core_is_pure() -> None:
    """The core imports values and schemas: no clock, no I/O, no runtime, no vendor of either side."""
    allowed = ("streams.core", "streams.measures", "streams.spec", "schemas.")
    wrong = [
        (f, m)
        for f, m in IMPORTS
        if f.startswith("streams/core/")
        and (
            m.split(".")[0] in IMPURE | VENDORS.keys()
            or (m.startswith("streams") and not m.startswith(allowed))
        )
    ]
    assert wrong == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_stays_in_its_room(vendor: str) -> None:
    """A vendor is imported where its seam is, and nowhere else."""
    users = {f for f, m in [*IMPORTS, *MEASURED] if m.split(".")[0] == vendor}
    assert [f for f in sorted(users) if not f.startswith(VENDORS[vendor])] == []
    # a room that no longer needs it is named in vain
    assert [room for room in VENDORS[vendor] if not any(f.startswith(room) for f in users)] == []


def test_no_module_is_too_long_to_be_read() -> None:
    """Of what is installed, Python and C; one that grows beyond this is two things."""
    paths = [path for room in ROOMS for ext in ("py", "c", "h") for path in (ROOT / room).rglob(f"*.{ext}")]
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in paths}
    assert {path: number for path, number in lines.items() if number > 250} == {}
