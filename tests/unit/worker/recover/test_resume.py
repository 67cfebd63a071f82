"""Where a partition goes on, and when it must not."""

from dataclasses import replace

import pytest

from streams.core.home import Homes
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.config import WorkerConfig
from streams.worker.errors import LogRecreated, LogTruncated, PaneChanged, WorkerStop
from streams.worker.recover.resume import resume
from streams.worker.values import LogBounds
from tests.support.events import packed

EMPTY = Progress("camera", "camera.events", 3)
HOMES = Homes("camera.events", "", 0, 6, forward=True)
STORED = Progress(
    "camera", "camera.events", 3, epoch=1, next_offset=500, replay_from=400, pane_ms=60_000,
    watermark_ms=1_700_000_000_000, max_event_ms=1_700_000_130_000, max_append_ms=1_700_000_125_000,
    folded=500, homes=6,
)  # fmt: skip


def config(**changes: object) -> WorkerConfig:
    """A config with some fields changed."""
    return WorkerConfig(kafka=KafkaAccess.at("b:1"), **changes)  # type: ignore[arg-type] # any field may be changed


def test_nothing_stored_begins_with_the_log() -> None:
    """Also where Kafka has deleted the log's beginning long ago."""
    progress = resume(EMPTY, None, LogBounds(70, 90), config(epoch=2), HOMES)
    assert (progress.next_offset, progress.replay_from, progress.epoch, progress.folded) == (70, 70, 2, 0)


def test_stored_progress_is_taken_as_it_is() -> None:
    """The log still holds what must be replayed."""
    assert resume(EMPTY, STORED, LogBounds(400, 500), config(), HOMES) == STORED


@pytest.mark.parametrize(
    "log", [LogBounds(0, 10), LogBounds(0, 0), LogBounds(0, 900, news=0), LogBounds(420, 900, 420, "new")]
)
def test_a_recreated_topic_is_counted_on_top(log: LogBounds) -> None:
    """Somebody has said so by a higher epoch: counters go on, and rows of the old log stay.

    Every pane that may be open is closed, so that the new log's events of it become rows of their own.
    """
    progress = resume(EMPTY, replace(STORED, topic_id="old"), log, config(epoch=2), HOMES)
    assert (progress.next_offset, progress.replay_from) == (log.start, log.start)
    assert (progress.epoch, progress.folded, progress.topic_id) == (2, 500, log.topic_id)
    assert STORED.max_event_ms < progress.watermark_ms <= STORED.max_event_ms + 60_000


def test_another_topic_of_the_same_name_is_told_whatever_its_offsets() -> None:
    """Longer than the old one, and cut at its front, so that no offset and no time gives it away."""
    with pytest.raises(LogRecreated, match=r"camera\.events\[3\].*\(new, not old\).*SONGLO_EPOCH to 2"):
        resume(EMPTY, replace(STORED, topic_id="old"), LogBounds(390, 900, 500, "new"), config(), HOMES)


def test_the_same_topic_is_the_same_whatever_its_times() -> None:
    """All of it may be newer: messages that were deleted and sent again, say."""
    stored, log = replace(STORED, topic_id="same"), LogBounds(0, 900, news=0, topic_id="same")
    assert resume(EMPTY, stored, log, config(), HOMES) == stored


def test_an_id_that_was_not_known_is_taken_over() -> None:
    """From the first Kafka that tells it; a silent one changes nothing."""
    assert resume(EMPTY, STORED, LogBounds(400, 500, None, "id"), config(), HOMES).topic_id == "id"
    stored = replace(STORED, topic_id="id")
    assert resume(EMPTY, stored, LogBounds(400, 500), config(), HOMES) == stored


def test_a_topic_that_was_not_recreated_keeps_its_epoch() -> None:
    """The setting is for all topics; folding the others again from a log cut by retention would lose."""
    assert resume(EMPTY, STORED, LogBounds(400, 900, news=501), config(epoch=2), HOMES) == STORED


def test_a_lower_epoch_than_stored_is_no_way_back() -> None:
    """A worker with an old setting must not write below the versions that are there."""
    assert resume(EMPTY, STORED, LogBounds(0, 500), config(epoch=0), HOMES).epoch == 1


@pytest.mark.parametrize(
    ("log", "changes", "error", "words"),
    [
        (LogBounds(0, 499), {}, LogRecreated, ("camera.events[3]", "500", "499", "SONGLO_EPOCH to 2")),
        (LogBounds(0, 900, news=0), {}, LogRecreated, ("camera.events[3]", "appended later", "SONGLO_EPOCH")),
        (LogBounds(401, 600), {}, LogTruncated, ("camera.events[3]", "400", "401", "--accept-gap")),
        (LogBounds(0, 600), {"rules": Rules(pane_ms=30_000)}, PaneChanged, ("camera.events[3]", "60", "30")),
    ],
    ids=["log too short", "log of later", "log cut", "other panes"],
)
def test_what_would_falsify_stops_loudly(
    log: LogBounds, changes: dict[str, object], error: type[WorkerStop], words: tuple[str, ...]
) -> None:
    """The message names topic, partition, offsets and what to do."""
    with pytest.raises(error) as stop:
        resume(EMPTY, STORED, log, config(**changes), HOMES)
    assert all(word in str(stop.value) for word in words)


@pytest.mark.parametrize(("start", "next_offset"), [(450, 500), (500, 500), (520, 520)])
def test_an_accepted_gap_goes_on_at_the_log_start(start: int, next_offset: int) -> None:
    """What is still there below the stored position was counted; the counters stay."""
    progress = resume(EMPTY, STORED, LogBounds(start, 600), config(accept_gap=True), HOMES)
    assert (progress.replay_from, progress.next_offset, progress.folded) == (start, next_offset, 500)


def test_an_accepted_gap_closes_every_pane_that_may_be_open() -> None:
    """
    panes    |  ...:20 to 22:00  |  22:00 to 23:00  |  23:00 to 24:00 ...
    watermark              ^ stored                 ^ after the gap, since an event of 22:10 was seen

    A pane that were still open would be folded again without its beginning, to a smaller total with a
    higher version than the one stored.
    """
    spec = load_streams()["camera"]
    progress = resume(EMPTY, STORED, LogBounds(500, 600), config(accept_gap=True), HOMES)
    state = PlainFold(spec, Rules(), progress)
    event = b'{"event_id":"e","occurred_at":1700000130000,"ward_code":"w","camera_id":"f","kind":"vehicle"}'
    state.fold(packed(500, 501, 1_700_000_130_000, [event]))
    changes = state.capture()
    assert changes is not None
    assert not changes.rows
    assert [late.event_id for late in changes.late] == ["e"]
