"""What a worker makes of its own refusals and of what others have switched."""

import pytest

from streams.core.breaker import Breaker, Limit
from streams.core.refusals import RefusalSummary
from streams.registry import load_streams
from streams.worker.breakers import Breakers

SPECS = list(load_streams().values())
CAMERA, QR = "camera.events", "qr.payments"
NOW_MS = 1_715_587_200_000


@pytest.fixture
def breakers() -> Breakers:
    """Of all streams, nothing paused; more than 50 dead of 100 trip."""
    return Breakers(SPECS, Limit(50, 100))


def test_a_stream_that_refuses_too_much_is_paused_alone(breakers: Breakers) -> None:
    """It is told once, with the numbers, and is to be written."""
    assert not breakers.count(CAMERA, 50, RefusalSummary(50), NOW_MS)
    assert breakers.count(CAMERA, 1, RefusalSummary(1), NOW_MS)
    assert not breakers.count(CAMERA, 9, RefusalSummary(9), NOW_MS)
    assert not breakers.count(QR, 51, RefusalSummary(0), NOW_MS)
    assert breakers.paused == {CAMERA}
    assert breakers.paused_streams == ["camera"]
    reason = "51 of the last 51 events read were refused, of many sources, the limit is 50 % of 100"
    assert breakers.unwritten == {CAMERA: Breaker("camera", 1, NOW_MS, reason)}
    breakers.written(CAMERA, breakers.of(CAMERA))
    assert breakers.unwritten == {}


def test_the_pause_of_another_worker_is_obeyed(breakers: Breakers) -> None:
    """It is heard of once."""
    paused = Breaker("camera").pause(NOW_MS, "elsewhere")
    assert breakers.learn({"camera": paused}).paused == {CAMERA: paused}
    assert breakers.learn({"camera": paused}).paused == {}
    assert breakers.paused == {CAMERA}
    assert breakers.unwritten == {}


def test_a_resume_starts_the_counts_anew(breakers: Breakers) -> None:
    """50 more may be dead before it pauses again; then it is the third change."""
    breakers.count(CAMERA, 51, RefusalSummary(51), NOW_MS)
    resumed = breakers.of(CAMERA).resume(NOW_MS + 1, "by hand")
    assert breakers.learn({"camera": resumed}).resumed == {CAMERA: resumed}
    assert breakers.paused == frozenset()
    assert not breakers.count(CAMERA, 50, RefusalSummary(50), NOW_MS)
    assert breakers.count(CAMERA, 1, RefusalSummary(1), NOW_MS)
    assert breakers.of(CAMERA).changes == 3


def test_a_pause_and_resume_between_two_looks_start_the_counts_anew(breakers: Breakers) -> None:
    """This worker never paused, but its last events are of before the resume."""
    breakers.count(CAMERA, 50, RefusalSummary(50), NOW_MS)
    resumed = Breaker("camera").pause(NOW_MS, "elsewhere").resume(NOW_MS, "by hand")
    heard = breakers.learn({"camera": resumed})
    assert (heard.paused, heard.resumed) == ({}, {})
    assert not breakers.count(CAMERA, 50, RefusalSummary(50), NOW_MS)


def test_a_pause_that_others_have_resumed_before_it_was_written_is_gone(breakers: Breakers) -> None:
    """Two workers trip, and the operator has resumed after the first."""
    breakers.count(CAMERA, 51, RefusalSummary(51), NOW_MS)
    resumed = Breaker("camera").pause(NOW_MS, "elsewhere").resume(NOW_MS, "by hand")
    assert set(breakers.learn({"camera": resumed}).resumed) == {CAMERA}
    assert breakers.unwritten == {}
    assert breakers.paused == frozenset()


def test_what_the_store_has_lost_is_written_again(breakers: Breakers) -> None:
    """It was restored from a copy of before the pause."""
    paused = Breaker("camera").pause(NOW_MS, "elsewhere")
    breakers.learn({"camera": paused})
    breakers.learn({})
    assert breakers.paused == {CAMERA}
    assert breakers.unwritten == {CAMERA: paused}


def test_switches_of_streams_that_this_worker_does_not_know_are_no_concern(breakers: Breakers) -> None:
    """A newer program may have more streams."""
    breakers.learn({"parking": Breaker("parking").pause(NOW_MS, "elsewhere")})
    assert breakers.paused == frozenset()
