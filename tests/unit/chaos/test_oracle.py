"""The judge of the fault tests: it must see every difference, and traffic must bring what it is for."""

from collections import Counter
from copy import deepcopy

import pytest

from sinks.memory import MemorySink
from streams.core.home import partition_of
from streams.core.late_duplicates import LateDeduplicator
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.registry import load_streams
from streams.worker.flush.steps import drop_late_duplicates
from tests.chaos.log import Record
from tests.chaos.oracle import Counts, Key, Oracle, Sums
from tests.chaos.traffic import Message, Plan, Traffic
from tests.chaos.verdict import differing, whole
from tests.support.events import packed

NOW_MS = 1_715_587_200_000
PARTITIONS = 2
KEY = Key("camera.events", 0, 60, ("cam-1",), late=False)


def plan(seed: int, messages: int = 1500) -> Plan:
    """Some traffic that ends at NOW_MS."""
    return Plan(seed=seed, now_ms=NOW_MS, messages=messages, partitions=PARTITIONS)


def records(messages: list[Message]) -> list[Record]:
    """The messages as a log, each appended a second after NOW_MS."""
    offsets = Counter[tuple[str, int]]()
    log = []
    for m in messages:
        place = m.topic, partition_of(m.key, PARTITIONS)
        log.append(Record(*place, offsets[place], NOW_MS + 1000, m.value))
        offsets[place] += 1
    return log


def oracle(log: list[Record]) -> Oracle:
    """One with the default rules that has read the log."""
    found = Oracle(60_000, 120_000, 300_000)
    for record in log:
        found.feed(record)
    return found


def test_the_same_seed_sends_the_same() -> None:
    """Or a run could not be repeated."""
    assert list(Traffic(plan(5))) == list(Traffic(plan(5)))
    assert list(Traffic(plan(5))) != list(Traffic(plan(6)))


@pytest.mark.parametrize("seed", range(3))
def test_traffic_brings_all_that_goes_wrong(seed: int) -> None:
    """Each partition has late events, repeats and dead letters, and most events are well."""
    for counts in oracle(records(list(Traffic(plan(seed))))).counts.values():
        assert min(counts.late, counts.duplicates, counts.dead) > 0
        assert counts.folded > counts.read / 3


def folded(log: list[Record]) -> dict[tuple[str, int], Counts]:
    """The counters of the fold itself, flushed at the end, by partition."""
    counts, specs = {}, {spec.topic: spec for spec in load_streams().values()}
    for place in {(r.topic, r.partition) for r in log}:
        spec = specs[place[0]]
        state = PlainFold(spec, Rules(), Progress(spec.name, *place))
        for r in log:
            if (r.topic, r.partition) == place:
                state.fold(packed(r.offset, r.offset + 1, r.append_ms, [r.value]))
        changes = state.capture()
        assert changes is not None
        (settled,) = drop_late_duplicates(MemorySink(), [(LateDeduplicator(), changes)])
        p = settled.progress
        counts[place] = Counts(p.folded, p.duplicates, p.late, p.dead)
    return counts


@pytest.mark.parametrize("seed", range(3))
def test_oracle_and_fold_agree(seed: int) -> None:
    """Two programs that share the event schemas alone count the same, to the last late event."""
    log = records(list(Traffic(plan(seed))))
    assert oracle(log).counts == folded(log)


def some() -> dict[Key, Sums]:
    """A total of three events with two speeds."""
    return {KEY: Sums(3, Counter(objects=5), {"speed": Counter({30_000: 1, 41_500: 1})})}


def test_equal_totals_do_not_differ() -> None:
    """A histogram's value within 1 % is the same value."""
    found = some()
    found[KEY].values["speed"] = Counter({30_250: 1, 41_200: 1})
    assert differing(some(), found) == []


@pytest.mark.parametrize(
    "damage", ["missing", "more", "events", "sum", "extreme", "value", "number of values"]
)
def test_every_difference_is_seen(damage: str) -> None:
    """One unit too many or too few anywhere is a wrong row."""
    found = deepcopy(some())
    sums = found[KEY]
    match damage:
        case "missing":
            found.clear()
        case "more":
            found[KEY._replace(late=True)] = Sums(1)
        case "events":
            sums.events += 1
        case "sum":
            sums.sums["objects"] -= 1
        case "extreme":
            sums.extremes["fee_max_vnd"] = 0
        case "value":
            sums.values["speed"] = Counter({30_000: 1, 42_500: 1})
        case "number of values":
            sums.values["speed"][30_000] += 1
    assert len(differing(some(), found)) == 1


def test_late_totals_join_the_others() -> None:
    """Where a gap has closed panes early, only the sum of both is told."""
    late = Sums(1, Counter(objects=1), extremes={"amount_min_vnd": 4, "amount_max_vnd": 4})
    split = {KEY: Sums(2, Counter(objects=4), extremes={"amount_min_vnd": 7}), KEY._replace(late=True): late}
    extremes = {"amount_min_vnd": 4, "amount_max_vnd": 4}
    assert whole(split) == {KEY: Sums(3, Counter(objects=5), extremes=extremes)}
