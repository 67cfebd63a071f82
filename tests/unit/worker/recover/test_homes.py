"""What holds of homes: decided once, read back, and never gone on without."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sinks.memory import MemorySink
from streams.core.home import Homes
from streams.core.late import LateEvents
from streams.core.rows import Rows
from streams.core.values import Changes, Progress
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.config import COUNT, WorkerConfig
from streams.worker.errors import HomesUnclear
from streams.worker.recover.homes import check_agrees, check_fits, decide, differing, settled, undecided
from streams.worker.recover.resume import resume
from streams.worker.values import KafkaTopic, LogBounds

TOPIC = "camera.events"
CONFIG = WorkerConfig(kafka=KafkaAccess.at("b:1"))
EMPTY = Progress("camera", TOPIC, 3)
# of this topic, of one that was recreated since, and of the version before
COUNTED = replace(EMPTY, next_offset=500, topic_id="new", homes=6, pane_ms=60_000)
OLD = replace(COUNTED, topic_id="old")
BEFORE = replace(COUNTED, homes=0)
FIRST = Homes(TOPIC, "new", 0, 4, forward=True)


@pytest.mark.parametrize(
    ("now", "known", "counted", "decided"),
    [
        (KafkaTopic("new", 4), [], [], [FIRST]),
        (KafkaTopic("", 4), [], [], [replace(FIRST, topic_id="")]),
        # recreated, and meant to be; without the epoch it is refused anyway
        (KafkaTopic("new", 4), [replace(FIRST, topic_id="old")], [OLD], [replace(FIRST, epoch=1)]),
        (KafkaTopic("new", 4), [], [replace(OLD, epoch=1)], []),
        (KafkaTopic("new", 4), [], [replace(BEFORE, topic_id="old")], [replace(FIRST, epoch=1)]),
        # counted without a decision: by the version before, or by a store that has lost it
        (KafkaTopic("new", 4), [], [BEFORE], []),
        (KafkaTopic("new", 4), [], [COUNTED], []),
        (KafkaTopic("", 4), [], [OLD], []),
        (KafkaTopic("new", 4), [], [OLD, BEFORE], []),
        # Kafka has learnt ids
        (
            KafkaTopic("new", 4),
            [Homes(TOPIC, "", 0, 2, forward=True), Homes(TOPIC, "", 1, 3, forward=False, epoch=1)],
            [replace(COUNTED, topic_id="")],
            [Homes(TOPIC, "new", 0, 2, forward=True), Homes(TOPIC, "new", 1, 3, forward=False, epoch=1)],
        ),
    ],
    ids=[
        "new", "new without ids", "recreated", "recreated, not meant", "recreated since the version before",
        "version before", "lost", "no id to compare", "some of the version before", "ids are new",
    ],
)  # fmt: skip
def test_what_is_to_be_decided(
    now: KafkaTopic, known: Sequence[Homes], counted: Sequence[Progress], decided: list[Homes]
) -> None:
    """Of a topic with no decision under its id; what was counted without one is left alone."""
    config = replace(CONFIG, epoch=decided[0].epoch if len(decided) == 1 else 0)
    assert undecided(TOPIC, now, known, counted, config) == decided


def test_the_setting_decides_on_strays() -> None:
    """Where a topic is met first."""
    config = replace(CONFIG, strays=COUNT)
    assert undecided(TOPIC, KafkaTopic("new", 4), [], [], config) == [replace(FIRST, forward=False)]


def test_the_first_decision_holds_for_all_workers() -> None:
    """A second one that meets more partitions, by another setting, reads the first one's back."""
    sink = MemorySink()
    assert decide(sink, TOPIC, KafkaTopic("new", 4), CONFIG) == FIRST
    assert decide(sink, TOPIC, KafkaTopic("new", 9), replace(CONFIG, strays=COUNT)) == FIRST
    # one that had asked before there was any
    sink.put_homes(replace(FIRST, partitions=9))
    assert sink.homes(TOPIC) == [FIRST]


def test_stored_progress_is_looked_at_before_deciding() -> None:
    """That of any partition: the worker may have been given another one."""
    sink, spec = MemorySink(), load_streams()["camera"]
    sink.put_progress(spec, [Changes(BEFORE, Rows(), [], LateEvents(), [])])
    assert decide(sink, TOPIC, KafkaTopic("new", 4), CONFIG) is None
    assert sink.homes(TOPIC) == []


def test_a_new_partition_takes_the_decision_with_its_epoch() -> None:
    """The higher of the two: rows of a rehoming are not to be written below it."""
    log, homes = LogBounds(7, 9, topic_id="new"), replace(FIRST, change=2, epoch=3, forward=False)
    for epoch, expected in ((0, 3), (5, 5)):
        found = resume(EMPTY, None, log, replace(CONFIG, epoch=epoch), homes)
        assert (found.homes, found.forward, found.epoch, found.next_offset) == (4, False, expected, 7)


def test_a_recreated_topic_begins_with_its_own_decision() -> None:
    """Also where the old one was counted without homes, or by others; what it counted stays."""
    log = LogBounds(0, 9, topic_id="new")
    for stored in (replace(OLD, folded=500), replace(BEFORE, topic_id="old", folded=500)):
        found = resume(EMPTY, stored, log, replace(CONFIG, epoch=1), replace(FIRST, epoch=1))
        assert (found.homes, found.epoch, found.next_offset, found.folded) == (4, 1, 0, 500)


def test_what_agrees_goes_on() -> None:
    """By the number that it was counted by."""
    check_agrees(COUNTED, replace(FIRST, partitions=6, change=3))
    check_fits(TOPIC, KafkaTopic("new", 4), FIRST)
    assert settled(EMPTY, FIRST) == FIRST


@pytest.mark.parametrize(
    ("stored", "homes", "words"),
    [
        (BEFORE, None, "no homes"),
        (BEFORE, FIRST, "no homes"),
        (COUNTED, FIRST, "6 homes.*4 homes.*interrupted"),
        (COUNTED, replace(FIRST, partitions=6, forward=False), "sent there.*counted where"),
        (COUNTED, None, "nothing is decided"),
        (None, None, "not decided"),
    ],
)
def test_what_does_not_agree_stops(stored: Progress | None, homes: Homes | None, words: str) -> None:
    """The sentence names the partition, and the command that helps."""
    with pytest.raises(HomesUnclear, match=rf"camera\.events\[3\]: .*{words}.*songlo topics --rehome"):
        resume(EMPTY, stored, LogBounds(0, 900, topic_id="new"), CONFIG, homes)


def test_homes_that_are_not_there_stop() -> None:
    """Where Kafka has no ids, the old decision stays though the topic was made anew with fewer partitions."""
    with pytest.raises(HomesUnclear, match=r"camera\.events: it has 3 partitions.*4.*--rehome"):
        check_fits(TOPIC, KafkaTopic("", 3), FIRST)


def test_a_setting_that_does_not_hold_is_found() -> None:
    """For the log."""
    assert differing([FIRST, replace(FIRST, forward=False)], CONFIG) == [replace(FIRST, forward=False)]
