"""Where homes are remembered: the first decision holds for good, in memory and on the real engine."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from sinks.clickhouse import ClickHouseAccess
from sinks.memory import MemorySink
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.core.home import Homes, newest
from streams.core.late import LateEvents
from streams.core.rows import Rows
from streams.core.values import Changes, Progress
from streams.sink import Sink
from tests.support.clickhouse import HasClickHouse, ask, new_database

TOPIC = CAMERA.topic
FIRST = Homes(TOPIC, "t0pic-Id_", 0, 6, True)
WRITERS = 4


@dataclass(frozen=True, slots=True)
class Store:
    """A sink, and others on the same tables, as other workers have them."""

    sink: Sink
    server: ClickHouseAccess | None = None

    def another(self) -> Sink:
        """The same tables on a connection of its own."""
        return ClickHouseSink(self.server) if self.server else self.sink


@pytest.fixture(params=["memory", "clickhouse"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield Store(MemorySink())
        return
    stack: HasClickHouse = request.getfixturevalue("stack")
    server = new_database(stack)
    sink = ClickHouseSink(server)
    yield Store(sink, server)
    sink.close()


def test_nothing_is_decided_of_a_new_topic(store: Store) -> None:
    """Nobody has met it yet."""
    assert store.sink.homes(TOPIC) == []


def test_a_decision_comes_back_field_by_field(store: Store) -> None:
    """Each field at the ends of its range; those of other topics stay out."""
    largest = Homes(TOPIC, "", 2**32 - 1, 65_536, False, 65_535, (0, 2**48 - 1, 7))
    for homes in (largest, FIRST, replace(FIRST, topic="other")):
        store.sink.put_homes(homes)
    assert store.sink.homes(TOPIC) == [FIRST, largest]
    assert [type(value) for h in store.sink.homes(TOPIC) for value in (h.forward, h.offsets)] == [
        bool,
        tuple,
    ] * 2


def test_the_first_decision_stays_for_good(store: Store) -> None:
    """A second one, a retry of the first after an answer that was lost, and another again change nothing."""
    second = replace(FIRST, partitions=12, forward=False, epoch=3, offsets=(1, 2))
    for homes in (FIRST, second, FIRST, second):
        store.sink.put_homes(homes)
        assert store.sink.homes(TOPIC) == [FIRST]


def test_each_change_and_each_topic_id_is_decided_by_itself(store: Store) -> None:
    """A rehoming is another change; a topic made anew has another id, and begins with change 0."""
    later = replace(FIRST, change=1, partitions=12, epoch=1, offsets=(5,) * 6)
    anew = replace(FIRST, topic_id="another", partitions=3)
    for homes in (later, FIRST, anew, replace(later, partitions=99), replace(anew, partitions=99)):
        store.sink.put_homes(homes)
    found = store.sink.homes(TOPIC)
    assert sorted(found, key=lambda h: (h.topic_id, h.change)) == [anew, FIRST, later]
    assert [h.change for h in found] == [0, 0, 1]
    assert newest(found, FIRST.topic_id) == later
    assert newest(found, "another") == anew
    assert newest(found, "unheard of") is None


@pytest.mark.parametrize("change", range(5))
def test_of_writers_at_once_one_wins_and_all_hear_which(store: Store, change: int) -> None:
    """As many workers as there are meet a new topic: each reads the same number afterwards."""
    barrier, heard = threading.Barrier(WRITERS), dict[int, list[Homes]]()

    def decide(writer: int) -> None:
        sink = store.another()
        mine = replace(FIRST, change=change, partitions=writer + 1)
        sink.homes(TOPIC)
        barrier.wait()
        sink.put_homes(mine)
        heard[writer] = sink.homes(TOPIC)
        if sink is not store.sink:
            sink.close()

    threads = [threading.Thread(target=decide, args=[n]) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == WRITERS
    assert [len(decisions) for decisions in heard.values()] == [1] * WRITERS
    assert len(set(map(tuple, heard.values()))) == 1


def test_a_decision_outlives_many_others(store: Store) -> None:
    """Tokens are not forgotten, whatever else was decided since."""
    others = [replace(FIRST, topic=f"topic-{n}") for n in range(300)]
    for homes in (FIRST, *others, replace(FIRST, partitions=99), replace(others[0], partitions=99)):
        store.sink.put_homes(homes)
    assert store.sink.homes(TOPIC) == [FIRST]
    assert store.sink.homes("topic-0") == [others[0]]


def test_progress_carries_its_homes(store: Store) -> None:
    """By which number a partition is folded, and what became of strays."""
    stored = [
        Progress(CAMERA.name, TOPIC, 0, homes=65_536, forward=False, strays=2**60, away=2**61),
        Progress(CAMERA.name, TOPIC, 1, homes=6),
        Progress(CAMERA.name, TOPIC, 2),
    ]
    store.sink.put_progress(CAMERA, [Changes(p, Rows(), [], LateEvents(), []) for p in stored])
    assert store.sink.progress(TOPIC, range(3)) == dict(enumerate(stored))


def test_tokens_outlive_merges_and_changes_of_the_table(stack: HasClickHouse) -> None:
    """What the engine does with the parts of a table in the meantime forgets no decision."""
    server = new_database(stack)
    sink = ClickHouseSink(server)
    for n in range(3):
        sink.put_homes(replace(FIRST, change=n))
    ask(server, "OPTIMIZE TABLE homes FINAL")
    ask(server, "ALTER TABLE homes ADD COLUMN later UInt8 DEFAULT 1")
    ask(server, "ALTER TABLE homes UPDATE later = 2 WHERE 1 SETTINGS mutations_sync = 1")
    sink.put_homes(replace(FIRST, partitions=99))
    assert ask(server, "SELECT count() FROM homes") == [(3,)]
    assert sink.homes(TOPIC)[0] == FIRST
    sink.close()


def test_of_a_copy_without_tokens_the_earliest_decision_holds(stack: HasClickHouse) -> None:
    """A restored table has the rows alone; a decision that is made again there does not replace the first."""
    server = new_database(stack)
    sink = ClickHouseSink(server)
    sink.put_homes(FIRST)
    ask(server, "ALTER TABLE homes MODIFY SETTING non_replicated_deduplication_window = 0")
    sink.put_homes(replace(FIRST, partitions=99))
    assert ask(server, "SELECT count() FROM homes") == [(2,)]
    assert sink.homes(TOPIC) == [FIRST]
    sink.close()
