"""The judge of the fault tests: it must see every difference, and traffic must bring what it is for."""

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from functools import partial

import pytest

from sinks.memory import MemorySink
from streams.core.home import partition_of
from streams.core.late_duplicates import LateDeduplicator
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress, StrayMessage
from streams.registry import load_streams
from streams.worker.flush.steps import drop_late_duplicates, steps
from tests.chaos.log import Place, Record
from tests.chaos.oracle import Counts, Decision, Key, Oracle
from tests.chaos.readings import READINGS, Sums
from tests.chaos.traffic import Message, Plan, Traffic
from tests.chaos.verdict import differing, whole
from tests.support.events import T0_MS, camera_event, message, packed

NOW_MS = 1_715_587_200_000
PARTITIONS = 2
CAMERA = "camera.events"
KEY = Key("camera.events", 0, 60, ("cam-1",), late=False)


def plan(seed: int, messages: int = 1500) -> Plan:
    """Some traffic that ends at NOW_MS."""
    return Plan(seed=seed, now_ms=NOW_MS, messages=messages, partitions=PARTITIONS)


class World:
    """The log that messages become, each appended a second after NOW_MS, and the plain folds of it.

    They flush now and then, and what they send home is in the log behind what was there.
    """

    def __init__(self, messages: Iterable[Message], homes: int = PARTITIONS, *, forward: bool = True) -> None:
        self.log: list[Record] = []
        self._offsets, self._folded = Counter[Place](), 0
        self._sink, self._specs = MemorySink(), {spec.topic: spec for spec in load_streams().values()}
        self._homes, self._forward = homes, forward
        self._folds: dict[Place, tuple[PlainFold, LateDeduplicator]] = {}
        for number, m in enumerate(messages):
            self._append((m.topic, m.sent_to(PARTITIONS)), m.value)
            if number % 40 == 0:
                self._fold()
        # what was sent home is at home
        for _ in range(2):
            self._fold()

    def _append(self, place: Place, value: bytes | None) -> None:
        self.log.append(Record(*place, self._offsets[place], NOW_MS + 1000, value))
        self._offsets[place] += 1

    def _fold(self) -> None:
        new, self._folded = self.log[self._folded :], len(self.log)
        for r in new:
            place = r.topic, r.partition
            if place not in self._folds:
                self._folds[place] = self._new_fold(place)
            self._folds[place][0].fold(packed(r.offset, r.offset + 1, r.append_ms, [r.value]))
        for (topic, _), (fold, deduplicator) in self._folds.items():
            if changes := fold.capture():
                settled = drop_late_duplicates(self._sink, [(deduplicator, changes)])
                for _ in steps(self._sink, self._specs[topic], settled, partial(self._send, topic)):
                    pass

    def _new_fold(self, place: Place) -> tuple[PlainFold, LateDeduplicator]:
        spec = self._specs[place[0]]
        progress = Progress(spec.name, *place, homes=self._homes, forward=self._forward)
        return PlainFold(spec, Rules(), progress), LateDeduplicator()

    def _send(self, topic: str, strays: Iterable[StrayMessage]) -> None:
        for stray in strays:
            self._append((topic, stray.home), stray.value)

    @property
    def counts(self) -> dict[Place, Counts]:
        """The stored counters of each partition."""
        found = {}
        for topic, number in self._folds:
            p = self._sink.progress(topic, [number])[number]
            found[topic, number] = Counts(p.folded, p.duplicates, p.late, p.dead, p.strays, p.away)
        return found


def oracle(log: list[Record], *decisions: Decision) -> Oracle:
    """One with the default rules that has read the log."""
    found = Oracle(60_000, 120_000, 300_000, dict.fromkeys(READINGS, decisions))
    for record in log:
        found.feed(record)
    return found


def test_the_same_seed_sends_the_same() -> None:
    """Or a run could not be repeated."""
    assert list(Traffic(plan(5))) == list(Traffic(plan(5)))
    assert list(Traffic(plan(5))) != list(Traffic(plan(6)))


@pytest.mark.parametrize("seed", range(3))
def test_traffic_brings_all_that_goes_wrong(seed: int) -> None:
    """Each partition has strays, late events, repeats and dead letters, and most events are well."""
    found = oracle(World(Traffic(plan(seed))).log, Decision(PARTITIONS)).counts
    for counts in found.values():
        assert min(counts.late, counts.duplicates, counts.dead, counts.strays) > 0
        assert counts.folded > (counts.read - counts.strays) / 3
    read, strays = (sum(getattr(c, name) for c in found.values()) for name in ("read", "strays"))
    assert read / 10 < strays < read / 3


def test_every_message_can_be_sent() -> None:
    """By a client that refuses one without key and value, to a partition that there is."""
    for m in Traffic(plan(1, 5000)):
        assert m.key is not None or m.value is not None
        assert 0 <= m.sent_to(PARTITIONS) < PARTITIONS


def test_repeats_come_by_other_producers_than_the_events() -> None:
    """Or nobody would need homes: more would be found to be new where each counts where it is."""
    world = World(Traffic(plan(1)))
    at_home, where_it_is = (oracle(world.log, *how).events_counted for how in ([Decision(PARTITIONS)], []))
    assert where_it_is > at_home * 1.05


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("homes", [0, 1, PARTITIONS])
@pytest.mark.parametrize("seed", range(3))
def test_oracle_and_fold_agree(seed: int, homes: int, forward: bool) -> None:
    """Two programs that share the event schemas alone count the same, to the last late event and stray."""
    world = World(Traffic(plan(seed)), homes, forward=forward)
    decisions = [Decision(homes, forward)] if homes else []
    assert oracle(world.log, *decisions).counts == world.counts
    strays, away = (sum(getattr(c, name) for c in world.counts.values()) for name in ("strays", "away"))
    assert (strays > 0, away > 0) == (bool(homes) and forward, bool(homes) and not forward)


def test_a_change_of_homes_holds_from_its_offsets_on() -> None:
    """And closes what is open there: what still comes for it is late."""
    events = [camera_event(f"e{n}", 0, camera_id="cam-2") for n in range(4)]
    log = [Record(CAMERA, 0, n, T0_MS + 1000, message(event)) for n, event in enumerate(events)]
    assert partition_of(b"cam-2", 3) != 0
    found = oracle(log, Decision(1), Decision(3, False, (2,)), Decision(3, True, (3,)))
    assert found.counts == {(CAMERA, 0): Counts(folded=2, late=1, strays=1, away=1)}


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
