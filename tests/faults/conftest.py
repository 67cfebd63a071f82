"""A stack that may be ill-treated, and for each test a database, a consumer group and empty topics."""

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.stack.process import children
from infra.stack.stack import Stack
from streams.sink import SinkRejected, SinkUnavailable
from tests.chaos.nursery import Nursery
from tests.chaos.readings import READINGS
from tests.chaos.rig import Rig, Times, eventually
from tests.chaos.traffic import Plan, Traffic
from tests.support import kafka, ledger

PARTITIONS = 3
SHORT_SEEDS = 2

HOUR_MS = 3_600_000

NewRig = Callable[..., Rig]
Mischief = Callable[..., Traffic]
Flood = Callable[[int], Traffic]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """kafka-python leaves the sockets of refused connections to the garbage collector."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a seed runs with each of `--seeds`."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, metafunc.config.getoption("seeds") + 1))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all fault tests: its parts are killed here, and restart by themselves."""
    with pytest.MonkeyPatch.context() as patch, Stack(tmp_path_factory.mktemp("faults")) as started:
        # what is killed again and again would be left alone for longer and longer
        patch.setattr(children, "LONGEST_DELAY_SECONDS", 0.5)
        yield started


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where the workers of all fault tests are forked."""
    with Nursery() as opened:
        yield opened


@pytest.fixture
def new_rig(
    stack: Stack, nursery: Nursery, tmp_path: Path, record_property: Callable[[str, object], None]
) -> Iterator[NewRig]:
    """Makes the rig of a test, with times of its own; what it compared goes to the report."""
    stack.wait_ready()
    kafka.empty(stack.brokers, READINGS, PARTITIONS)
    rigs: list[Rig] = []

    def make(on: Stack = stack, **times: int) -> Rig:
        rig = Rig(on, nursery, tmp_path, partitions=PARTITIONS, times=Times(**times))
        rigs.append(rig)
        return rig.__enter__()

    yield make
    verdicts, hits = [v for rig in rigs for v in rig.verdicts], [h for rig in rigs for h in rig.hits]
    record_property(ledger.PROPERTY, ledger.told(verdicts, hits))
    while rigs:
        rig = rigs.pop()
        rig.__exit__(None, None, None)
        # an engine with those of hundreds of tests takes half a minute to start again
        eventually(lambda rig=rig: dropped(rig), timeout_s=60)
    # now, while it is known that there are such sockets; at the end of pytest they would be an error
    gc.collect()


def dropped(rig: Rig) -> bool:
    """Drop its database; whether that is done."""
    try:
        rig.ask(f"DROP DATABASE {rig.name} SYNC")
    except SinkUnavailable:
        return False
    except SinkRejected:
        # an older copy of the data may never have had it
        pass
    return True


@pytest.fixture
def rig(new_rig: NewRig) -> Rig:
    """A rig with short times."""
    return new_rig()


@pytest.fixture
def pace(request: pytest.FixtureRequest) -> float:
    """How long pauses between faults are, as a share of those of a long run."""
    return 1.0 if request.config.getoption("seeds") > SHORT_SEEDS else 0.2


@pytest.fixture
def traffic() -> Mischief:
    """Makes traffic of every kind that ends now; `changes` are those of its plan."""

    def make(seed: int, messages: int, **changes: object) -> Traffic:
        plan = {"now_ms": time.time_ns() // 1_000_000, "partitions": PARTITIONS} | changes
        return Traffic(Plan(seed=seed, messages=messages, **plan))

    return make


@pytest.fixture
def flood(traffic: Mischief) -> Flood:
    """Makes traffic that does not end before its feed is stopped."""
    return lambda seed: traffic(seed, 100_000, span_ms=40 * HOUR_MS, leaps=40)
