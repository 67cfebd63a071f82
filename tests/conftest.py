"""What tests share: one local stack for the whole run, started when a test first asks for it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.stack import Stack

RUNNING = "SONGLO_TEST_STACK"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of a stack that runs already; each host:port."""

    brokers: str
    clickhouse: str
    clickhouse_http: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """The length of a run of `tests/faults`."""
    parser.addoption("--seeds", type=int, default=2, help="seeds of each fault test; above 2 is a long run")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Faults at scale take longer than the default command may: `infra/test -m soak`."""
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.soak)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses | Stack]:
    """Kafka and ClickHouse; tests use databases and topics of their own.

    SONGLO_TEST_STACK names a file with what `python -m infra.local.run` prints, to use a stack that runs.
    """
    if path := os.environ.get(RUNNING):
        yield Addresses(**json.loads(Path(path).read_text(encoding="utf-8")))
        return
    with Stack(tmp_path_factory.mktemp("stack")) as started:
        yield started
