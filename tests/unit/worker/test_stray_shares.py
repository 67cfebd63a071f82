"""Advice where many events stray: once an hour, with what it costs and how whoever sends can cure it."""

from dataclasses import replace

from streams.core.values import Progress
from streams.registry import load_streams
from streams.worker.stray_shares import HOUR_S, LEAST, RECENT, StrayShares

HELD = Progress("camera", "camera.events", 0, homes=3, folded=5_000_000, strays=1_000_000)


def shares() -> StrayShares:
    """Of a worker that holds a partition in which millions strayed long ago."""
    told = StrayShares(load_streams().values())
    told.resumed(HELD)
    told.met("camera.events", 3, 3)
    return told


def read(held: Progress, events: int, strays: int = 0, away: int = 0) -> Progress:
    """The progress after so many more events."""
    return replace(
        held,
        folded=held.folded + events - strays,
        strays=held.strays + strays,
        away=held.away + away,
    )


def test_many_strays_are_told_once_an_hour() -> None:
    """By what was read lately, whatever was before; then again, while it is so."""
    told, now = shares(), read(HELD, RECENT, strays=RECENT // 3)
    told.flushed(now, 10.0)
    (line,) = told.lines(11.0)
    assert line == (
        "stream camera: 33 % of the last 100,000 events were in another partition than their camera_id's; "
        "they were sent home, so each was read twice and counts a flush later. Whoever sends can cure it: "
        "the camera_id as each message's key, one camera_id in a bundle, and for librdkafka ("
        "confluent-kafka, kcat -X) partitioner=murmur2_random"
    )
    for at_s, lines in ((20.0, 0), (11.0 + HOUR_S, 1)):
        now = read(now, RECENT, strays=RECENT // 3)
        told.flushed(now, at_s)
        assert len(list(told.lines(at_s))) == lines


def test_a_slow_stream_is_told_of_after_an_hour() -> None:
    """And of a handful of events nothing can be said."""
    told = shares()
    told.flushed(read(HELD, LEAST, strays=LEAST // 2), 10.0)
    assert list(told.lines(10.0 + HOUR_S - 1)) == []
    assert "50 % of the last 1,000" in next(told.lines(10.0 + HOUR_S))
    few = shares()
    few.flushed(read(HELD, LEAST - 1, strays=LEAST // 2), 10.0)
    assert list(few.lines(10.0 + HOUR_S)) == []


def test_a_few_strays_are_no_matter() -> None:
    """As where one device of twenty is wrong."""
    told = shares()
    told.flushed(read(HELD, RECENT, strays=RECENT // 20), 10.0)
    assert list(told.lines(10.0 + HOUR_S)) == []


def test_what_counts_away_from_home_is_told_as_what_it_is() -> None:
    """Repeats of those may count twice."""
    told = shares()
    told.flushed(read(HELD, RECENT, away=RECENT // 2), 10.0)
    assert "repeats of them elsewhere may count twice" in next(told.lines(10.0))


def test_partitions_that_are_no_homes_are_named_with_the_command() -> None:
    """Nobody who sends can help that."""
    told = shares()
    told.met("camera.events", 12, 3)
    told.flushed(read(HELD, RECENT, strays=RECENT // 2), 10.0)
    assert "There are 12 partitions by now" in (line := next(told.lines(10.0)))
    assert line.endswith("`songlo topics --rehome` takes them all")
