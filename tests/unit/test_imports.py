"""The architecture as a test: imports point one way, and each vendor stays in its room."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# each room may import itself and the rooms before it
ROOMS = ("schemas", "streams", "sinks", "infra")
VENDORS = {
    "faust": ("streams/delivery/", "streams/app.py"),
    "mode": ("streams/delivery/", "streams/app.py"),
    "aiokafka": ("streams/delivery/",),
    "clickhouse_driver": ("sinks/clickhouse.py", "sinks/native_block.py"),
    "kafka": ("infra/kafka.py", "infra/kafka_batches.py", "infra/producer.py", "infra/chaos/log.py"),
    "click": ("infra/cli/",),
    "rich": ("infra/cli/", "infra/view/"),
    "setuptools": ("streams/native/wheel.py",),
}
# what would make a decision depend on more than the log
IMPURE = {"asyncio", "datetime", "os", "random", "socket", "threading", "time", "logging"}


def imports() -> Iterator[tuple[str, str]]:
    """(file, imported module) for every import of the four rooms."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                modules: list[str] = []
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0, f"{path}: import by the full name"
                    modules = [node.module or ""]
                for module in modules:
                    yield path.relative_to(ROOT).as_posix(), module


IMPORTS = list(imports())


def test_there_is_something_to_check() -> None:
    """A check that reads no file would pass for ever."""
    assert {file.split("/", maxsplit=1)[0] for file, _ in IMPORTS} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    """infra -> sinks -> streams -> schemas, never back."""
    later = ROOMS[ROOMS.index(room) + 1 :]
    wrong = [(f, m) for f, m in IMPORTS if f.startswith(f"{room}/") and m.split(".")[0] in (*later, "tests")]
    assert wrong == []


def test_the_core_is_pure() -> None:
    """The core imports values and schemas: no clock, no I/O, no runtime, no vendor of either side."""
    allowed = ("streams.core", "streams.spec", "schemas.")
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
    wrong = [f for f, m in IMPORTS if m.split(".")[0] == vendor and not f.startswith(VENDORS[vendor])]
    assert wrong == []
