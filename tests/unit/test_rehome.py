"""When a topic needs other homes, what a rehoming leaves behind, and where it gives up."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sinks.memory import MemorySink
from sinks.memory_fence import MemoryFence
from streams.catalog.camera import SPEC
from streams.core.breaker import Breaker
from streams.core.fold import Fold
from streams.core.home import Homes, newest, partition_of
from streams.core.late import LateEvents
from streams.core.plain import PlainFold
from streams.core.records import pack
from streams.core.rehoming import LAST_EPOCH, CannotRehome, Target, current, reason
from streams.core.rows import Rows
from streams.core.rules import Rules
from streams.core.values import Changes, Progress, RecordBatch, StrayMessage
from streams.rehome import rehome
from streams.sink import SinkFenced
from tests.support.events import T0_MS, batch, camera_event, message

RULES = Rules()
HOMES = Homes(SPEC.topic, "id", 0, 2, True)
TARGET = Target("id", (0, 0, 0), True)
SAME = replace(TARGET, starts=(0, 0))


def at(partition: int, **fields: object) -> Progress:
    """The progress of a partition that goes by the first decision."""
    given: dict[str, object] = {"homes": 2, "topic_id": "id", **fields}
    return replace(Progress(SPEC.name, SPEC.topic, partition), **given)  # type: ignore[arg-type]  # as named


@pytest.mark.parametrize(
    ("known", "stored", "height", "target", "expected"),
    [
        ([], [], 0, TARGET, ""),
        ([HOMES], [], 0, SAME, ""),
        ([HOMES], [at(0), at(1)], 0, SAME, ""),
        ([HOMES], [at(0)], 0, TARGET, "homes are reckoned by 2 partitions, and it has 3"),
        ([HOMES], [], 0, replace(SAME, forward=False), "strays are to count where they are"),
        ([replace(HOMES, forward=False)], [], 0, SAME, "strays are to be sent home"),
        ([], [at(0), at(1, homes=0)], 0, SAME, "folded by a version that knew no homes"),
        ([HOMES], [at(0, homes=0)], 0, SAME, "folded by a version that knew no homes"),
        # whatever was to be done, it is done anew
        ([HOMES], [at(0), at(1)], 1, SAME, "a rehoming was interrupted"),
        ([HOMES, replace(HOMES, change=1, epoch=1)], [at(0)], 1, SAME, "a rehoming was interrupted"),
        ([HOMES, replace(HOMES, change=1, partitions=3)], [at(0)], 0, TARGET, "a rehoming was interrupted"),
        # another topic by the same name
        ([replace(HOMES, topic_id="former", partitions=9), HOMES], [at(0)], 0, SAME, ""),
    ],
)
def test_why_a_topic_needs_other_homes(
    known: list[Homes], stored: list[Progress], height: int, target: Target, expected: str
) -> None:
    """Or that it needs none."""
    found = reason(known, stored, height, target)
    assert expected in found
    assert bool(found) == bool(expected)


def test_what_is_stored_of_a_former_topic_is_left_alone() -> None:
    """A topic that was made anew: partitions without news keep the progress of its former life."""
    former = at(1, topic_id="former", epoch=3)
    stored = {0: at(0, epoch=4), 1: former, 2: at(2, topic_id="")}
    assert current(stored, [HOMES], TARGET).keys() == {0, 2}
    # a Kafka without ids tells none apart
    assert current(stored, [HOMES], replace(TARGET, topic_id="")).keys() == {0, 1, 2}
    with pytest.raises(CannotRehome, match=r"camera.events: .*created again.*SONGLO_EPOCH=4"):
        current(stored, [replace(HOMES, topic_id="former")], TARGET)


class City:
    """A store, and the log of one partition that a worker has folded by the first decision."""

    def __init__(self, events: int, *, homes: int = 2, forward: bool = True) -> None:
        self.sink = MemorySink()
        self.sink.put_homes(replace(HOMES, forward=forward))
        self.fence = MemoryFence(self.sink, SPEC)
        camera = next(f"cam-{n}" for n in range(99) if partition_of(f"cam-{n}".encode(), 2) == 0)
        self.log = [
            batch(i, 40.0 * i, [message(camera_event(f"e{i}", 40.0 * i, camera_id=camera))])
            for i in range(events)
        ]
        self.fold: Fold = PlainFold(SPEC, RULES, at(0, homes=homes, forward=forward))
        for each in self.log:
            self.fold.fold(pack(each))

    def flush(self, changes: Changes | None, *, progress: bool = True) -> None:
        """All or, of a worker that dies, all but progress."""
        assert changes
        puts = [self.sink.put_rows, self.sink.put_ids, self.sink.put_late]
        puts += [self.sink.put_sending] if changes.strays else []
        for put in [*puts, self.sink.put_progress] if progress else puts:
            put(SPEC, [changes])

    def steps(self, target: Target = TARGET) -> Iterator[str]:
        """A rehoming."""
        return rehome(
            self.sink, self.fence, SPEC, target, lambda p: PlainFold(SPEC, RULES, p), self.read
        )  # fmt: skip

    def read(self, progress: Progress) -> list[RecordBatch]:
        """What Kafka has of the partition."""
        return [b for b in self.log if progress.replay_from < b.next_offset <= progress.next_offset]

    @property
    def stored(self) -> Progress:
        """The progress of the partition."""
        return self.sink.progress(SPEC.topic, [0])[0]

    @property
    def events(self) -> int:
        """What views show."""
        return sum(int(str(row[SPEC.columns.index("events")])) for row in self.sink.rows(SPEC).values())


def test_windows_that_were_open_are_closed_in_a_new_epoch() -> None:
    """Their rows are the same, their ids are known, and nothing has to be read again."""
    city = City(10)
    city.flush(city.fold.capture())
    before = city.stored
    assert before.replay_from < before.next_offset == 10
    assert list(city.steps())[-1] == "rehome.after_progress"
    after = city.stored
    assert (after.epoch, after.homes, after.next_offset, after.replay_from) == (1, 3, 10, 10)
    assert after.watermark_ms > before.max_event_ms
    assert city.events == 10 == after.folded
    starts = [T0_MS + n * 60_000 for n in range(7)]
    ids = city.sink.pane_ids(SPEC.topic, {0: starts}).values()
    assert sum(len(known.on_time) for known in ids) == 10
    assert newest(city.sink.homes(SPEC.topic), "id") == Homes(SPEC.topic, "id", 1, 3, True, 1, (10,))


def test_a_worker_of_before_is_refused() -> None:
    """Whatever it holds, it is not written."""
    city = City(10)
    city.flush(city.fold.capture())
    city.fold.fold(pack(batch(10, 500, [message(camera_event("late", 450))])))
    waiting = city.fold.capture()
    list(city.steps())
    with pytest.raises(SinkFenced):
        city.flush(waiting)
    with pytest.raises(SinkFenced):
        city.sink.put_sending(SPEC, [replace(waiting, strays=[StrayMessage(1, b"[]", 1)])])  # type: ignore[type-var]
    assert city.stored.epoch == 1


def test_a_log_that_ends_in_offsets_without_messages_is_read_to_its_end() -> None:
    """Markers of transactions, or what compaction has left out."""
    city = City(10)
    end = RecordBatch(10, 13, city.log[-1].append_ms, [], [])
    city.fold.fold(pack(end))
    city.flush(city.fold.capture())
    assert city.stored.next_offset == 13
    list(city.steps())
    assert (city.stored.next_offset, city.stored.replay_from) == (13, 13)
    assert city.events == 10


@pytest.mark.parametrize(("homes", "forward"), [(0, True), (2, False)])
def test_a_flush_that_was_left_is_forgotten_where_nothing_was_sent(homes: int, forward: bool) -> None:
    """As if it had never begun: what it was of is read again."""
    city = City(6, homes=homes, forward=forward)
    city.flush(city.fold.capture())
    for i in range(6, 12):
        city.fold.fold(pack(batch(i, 40.0 * i, [message(camera_event(f"e{i}", 40.0 * i))])))
    city.flush(city.fold.capture(), progress=False)
    assert city.events == 12
    list(city.steps())
    assert city.events == 6 == city.stored.folded
    assert city.stored.next_offset == 6


def test_a_flush_that_was_left_where_strays_are_sent_is_told() -> None:
    """Though it has sent nothing else; the fence is down again, and a worker ends the flush."""
    city = City(6)
    city.flush(city.fold.capture())
    ahead = Changes(
        replace(city.stored, next_offset=9), Rows(), [], LateEvents(), [], [], [StrayMessage(1, b"[]", 3)]
    )
    city.flush(ahead, progress=False)
    before = city.stored
    with pytest.raises(
        CannotRehome, match=r"camera.events\[0\]: a worker was killed in the middle of a flush"
    ):
        list(city.steps())
    assert city.stored == before
    city.flush(ahead)
    list(city.steps())
    assert city.stored.next_offset == 9


def test_a_topic_that_nobody_has_folded_is_decided_anew() -> None:
    """Its first worker had decided, and was gone before it flushed."""
    sink = MemorySink()
    sink.put_homes(HOMES)
    fence = MemoryFence(sink, SPEC)
    list(rehome(sink, fence, SPEC, TARGET, lambda p: PlainFold(SPEC, RULES, p), lambda _: []))
    assert newest(sink.homes(SPEC.topic), "id") == Homes(SPEC.topic, "id", 1, 3, True, 1)
    assert sink.progress(SPEC.topic, range(3)) == {}


def test_what_was_counted_without_homes_is_away_as_far_as_anybody_knows() -> None:
    """Unless there was but one partition that it could be in."""
    for target, away in ((TARGET, 6), (replace(TARGET, starts=(0,)), 0)):
        city = City(6, homes=0)
        city.flush(city.fold.capture())
        list(city.steps(target))
        assert city.stored.away == away


def test_of_two_rehomings_at_once_one_gives_up() -> None:
    """Whoever decides second; both have made the same rows."""
    city = City(6)
    city.flush(city.fold.capture())
    one, other = city.steps(), city.steps(replace(TARGET, starts=(0,) * 4))
    for steps in (one, other):
        assert [next(steps) for _ in range(4)][-1] == "rehome.before_homes"
    assert list(one) == ["rehome.before_progress", "rehome.after_progress"]
    with pytest.raises(CannotRehome, match="another rehoming runs at the same time"):
        list(other)
    assert (city.stored.homes, city.events) == (3, 6)


@pytest.mark.parametrize("paused", [False, True])
def test_what_is_skipped_is_skipped_in_the_new_epoch_too(paused: bool) -> None:
    """Of what lies behind the positions; a stream that is paused stays so."""
    city = City(6)
    city.flush(city.fold.capture())
    breaker = Breaker(SPEC.name).pause(1, "too many").skip({0: 9, 1: 7}, 2, "by hand")
    city.sink.put_breaker(breaker.pause(3, "again") if paused else breaker)
    list(city.steps())
    found = city.sink.breakers()[SPEC.name]
    assert found.paused is paused
    assert (found.note_below(0, 1), found.note_below(1, 0)) == (9, 7)
    list(city.steps(replace(TARGET, starts=(0, 0))))
    assert city.sink.breakers()[SPEC.name].note_below(0, 2) == 9


def test_the_last_epoch_is_the_last() -> None:
    """There is no room for another."""
    city = City(6)
    city.sink.put_progress(SPEC, [Changes(at(0, epoch=LAST_EPOCH), Rows(), [], LateEvents(), [])])
    with pytest.raises(CannotRehome, match="epoch 65535 is the last one"):
        list(city.steps())
