"""The path of an event stays about as cheap as the bare client's own loop: a wide guard, for CI."""

import os
from pathlib import Path

import pytest

from infra.settings.environment import load_settings
from streams.engine import choose_engine
from tests.bench.compare import Result, compare
from tests.bench.contenders import choose
from tests.bench.ground import Ground
from tests.bench.load import Load
from tests.bench.songlo import spec_for
from tests.conftest import Addresses

EVENTS, RUNS = 200_000, 2
# on so few events about 0.3 compiled, 2.4 in Python; Faust's event by event is about 40
WIDE_COMPILED, WIDE_PLAIN = 2.0, 6.0


@pytest.fixture(scope="module")
def measured(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The worker and the bare loop over the same topic, in turns, wherever the machine puts them."""
    ground = Ground(
        brokers=stack.brokers,
        clickhouse=stack.clickhouse,
        clickhouse_http=stack.clickhouse_http,
        core=None,
        work=tmp_path_factory.mktemp("bench"),
        logs=Path("/nonexistent"),
        pids={},
    )
    told: list[str] = []
    results = compare(choose("a,g"), Load(EVENTS), RUNS, ground, Path("/nonexistent"), told.append)
    return {r.contender.name: r for r in results}


def test_the_windows_of_the_benchmark_are_right(measured: dict[str, Result]) -> None:
    """What is measured is the right answer."""
    assert measured["a"].reason == ""
    assert measured["g"].reason == ""


def test_the_worker_costs_no_multiple_of_the_bare_loop(measured: dict[str, Result]) -> None:
    """Only a fault that multiplies the cost of delivery or fold fails here: the machine may be busy."""
    least = {name: min(s.cpu_us for s in result.samples) for name, result in measured.items()}
    settings = load_settings(os.environ)
    engine, _ = choose_engine(settings.fold, settings.library_folder, [spec_for("bench")])
    wide = WIDE_COMPILED if engine.compiled else WIDE_PLAIN
    assert least["a"] < wide * least["g"], least
