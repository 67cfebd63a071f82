"""What may be rebuilt, from which offsets, and how the differences are told."""

from dataclasses import replace

import pytest

from infra.cli.rebuild import _line, _told
from infra.operate.rebuild import PartitionLog, RebuildPart, parts
from streams.catalog.camera import SPEC
from streams.core.rebuild import Span
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.shadow import CannotRebuild, Comparison, Difference
from streams.worker.values import LogBounds

# 2024-05-13 15:00 in Vietnam
T0_MS = 1_715_587_200_000
HOUR_MS = 3_600_000
SPAN = Span(T0_MS, T0_MS + HOUR_MS)
RULES = Rules()
AT = Progress(
    SPEC.name, SPEC.topic, 2, next_offset=500, watermark_ms=T0_MS + 2 * HOUR_MS,
    max_event_ms=T0_MS + 2 * HOUR_MS, max_append_ms=T0_MS + 3 * HOUR_MS,
)  # fmt: skip


def log(start: int, end: int, since: int | None, news: int | None = None) -> PartitionLog:
    """What Kafka holds."""
    return PartitionLog(LogBounds(start, end, news), since)


def chosen(at: Progress, kafka: PartitionLog, *, accept_gap: bool = False) -> list[RebuildPart]:
    """The parts of one partition."""
    return parts({at.partition: at}, {at.partition: kafka}, SPAN, RULES, accept_gap=accept_gap)


@pytest.mark.parametrize(
    ("kafka", "begin"),
    [
        (log(0, 500, 0), 0),  # the whole log, all of which may matter
        (log(0, 900, 120), 120),  # what was appended before can't matter
        (log(0, 900, 700), 500),  # nothing of it is folded yet
        (log(0, 500, None), 500),  # nothing was appended as late as that
        (log(90, 500, 120), 120),  # cut, but before what can matter
        (log(90, 500, None), 500),
    ],
)
def test_the_log_is_read_from_where_it_can_matter(kafka: PartitionLog, begin: int) -> None:
    """Up to where the stored progress is."""
    assert chosen(AT, kafka) == [RebuildPart(AT, begin)]
    assert chosen(AT, kafka)[0].offsets == 500 - begin


@pytest.mark.parametrize("kafka", [log(90, 500, 90), log(500, 500, None)])
def test_a_log_that_was_cut_is_refused_unless_accepted(kafka: PartitionLog) -> None:
    """Its first messages may matter, so those that are gone may have mattered too; or nothing is left."""
    with pytest.raises(
        CannotRebuild, match=rf"\[2\]: Kafka's log starts at offset {kafka.bounds.start}, .*--accept"
    ):
        chosen(AT, kafka)
    assert chosen(AT, kafka, accept_gap=True) == [RebuildPart(AT, kafka.bounds.start)]


@pytest.mark.parametrize("kafka", [log(0, 400, 0), log(0, 900, 0, news=0)])
def test_another_log_is_always_refused(kafka: PartitionLog) -> None:
    """It ends before what was folded, or holds only what was appended later: the topic was recreated."""
    for accept_gap in (False, True):
        with pytest.raises(CannotRebuild, match="folded up to offset 500, but Kafka's log is another one"):
            chosen(AT, kafka, accept_gap=accept_gap)


def test_open_windows_are_refused_by_the_first_of_them() -> None:
    """Over all partitions; the message says which, and up to when to rebuild."""
    stored = {
        p: replace(AT, partition=p, watermark_ms=T0_MS + minute * 60_000)
        for p, minute in ((0, 90), (1, 50), (2, 40), (3, 55))
    }
    with pytest.raises(CannotRebuild) as refused:
        parts(stored, {p: log(0, 500, 0) for p in stored}, SPAN, RULES, accept_gap=True)
    assert "camera.events[2] has not closed the window of 2024-05-13 15:40:00" in str(refused.value)
    assert "--to '2024-05-13 15:40:00'" in str(refused.value)


def test_partitions_without_events_do_not_hold_a_rebuild_up() -> None:
    """One that has folded nothing valid is left out; one that was quiet since before the span is read."""
    empty, quiet = Progress(SPEC.name, SPEC.topic, 0, next_offset=9), replace(AT, partition=1)
    quiet = replace(quiet, watermark_ms=T0_MS - HOUR_MS, max_event_ms=T0_MS - 1)
    kafka = {p: log(0, 500, 0) for p in range(3)}
    found = parts({0: empty, 1: quiet, 2: AT}, kafka, SPAN, RULES, accept_gap=False)
    assert [part.progress for part in found] == [quiet, AT]
    with pytest.raises(CannotRebuild, match="nothing to rebuild"):
        parts({0: empty}, kafka, SPAN, RULES, accept_gap=False)


def test_panes_of_another_length_are_refused() -> None:
    """The setting must be that of the workers."""
    with pytest.raises(CannotRebuild, match="in panes of 300 s, but SONGLO_WINDOW_SECONDS is 60"):
        chosen(replace(AT, pane_ms=300_000), log(0, 500, 0))


def test_a_partition_that_kafka_no_longer_has() -> None:
    """Its windows are left as they are, if somebody says so."""
    with pytest.raises(CannotRebuild, match=r"camera.events\[2\]: Kafka no longer has this partition"):
        parts({2: AT}, {}, SPAN, RULES, accept_gap=False)
    assert parts({2: AT}, {}, SPAN, RULES, accept_gap=True) == []


def test_what_differs_is_told_in_80_columns() -> None:
    """By window, with what is wrong in a row that both have; long names are cut."""
    dimensions = ("cam-02203-014", "02203", "vehicle", "motorcycle", "", "north-east")
    lines = [
        _line(Difference(kind, T0_MS, dimensions, 123_456_789, 0, columns))
        for kind, columns in (("missing", ()), ("surplus", ("objects",)), ("different", ("objects", "speed")))
    ]
    assert lines == [
        "05-13 15:00  missing   123,456,789           0  cam-02203-014 02203 vehicle mot…",
        "05-13 15:00  surplus   123,456,789           0  cam-02203-014 02203 vehicle mot…",
        "05-13 15:00  different 123,456,789           0  objects, speed: cam-02203-014 0…",
    ]
    assert max(map(len, lines)) == 80


def test_what_a_rebuild_did_is_told() -> None:
    """Equal, with late events, applied or not."""
    equal = Comparison(windows=60, rows=1_234, events=9_876)
    late = replace(equal, late=7)
    wrong = replace(
        late, wrong_windows=2, missing=1, different=3, shown=(Difference("missing", T0_MS, ("a",), 0, 1),)
    )
    assert list(_told(SPEC, SPAN, equal, applied=False)) == [
        "camera_minute, 2024-05-13 15:00 to 2024-05-13 16:00: 60 windows, 1,234 rows",
        "0 windows differ; rows: 0 missing, 0 surplus, 0 different",
    ]
    assert list(_told(SPEC, SPAN, equal, applied=True))[-1] == "nothing to change"
    assert list(_told(SPEC, SPAN, late, applied=False))[-2:] == [
        "7 late events would become part of their windows",
        "nothing was changed: --apply swaps this in",
    ]
    told = list(_told(SPEC, SPAN, wrong, applied=True))
    assert told[2] == "and 3 more"
    assert told[-2:] == ["7 late events are now part of their windows", "swapped in"]
    assert max(map(len, told)) <= 80
