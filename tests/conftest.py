"""What tests share: one local stack for the whole run, started when a test first asks for it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from infra.stack.stack import Stack
from tests.support.ledger import Ledger

RUNNING = "SONGLO_TEST_STACK"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of a stack that runs already; each host:port."""

    brokers: str
    clickhouse: str
    clickhouse_http: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """The length of a run of `tests/faults`, and where its results go."""
    parser.addoption("--seeds", type=int, default=1, help="seeds of each fault test; above 2 is a long run")
    parser.addoption("--faults-table", type=Path, help="write what the fault tests compared, .md or .json")


def pytest_configure() -> None:
    """Laws are not timed: on a busy machine, or at its first run, even making the examples takes seconds."""
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of faults can be chosen: `infra/test -m faults`."""
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.faults)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What the fault tests of this run have compared."""
    ledger = Ledger(r for reports in terminalreporter.stats.values() for r in reports)
    if not ledger.lines:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(ledger.as_markdown())
    if path := config.getoption("faults_table"):
        path.write_text(ledger.as_json() if path.suffix == ".json" else ledger.as_markdown(), "utf-8")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses | Stack]:
    """Kafka and ClickHouse; tests use databases and topics of their own.

    SONGLO_TEST_STACK names a file with what `python -m infra.stack.run` prints, to use a stack that runs.
    """
    if path := os.environ.get(RUNNING):
        yield Addresses(**json.loads(Path(path).read_text(encoding="utf-8")))
        return
    with Stack(tmp_path_factory.mktemp("stack")) as started:
        yield started
