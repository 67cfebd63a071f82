"""Waiting until nothing is left."""

from collections.abc import Callable, Iterator

from infra.cli.drain import wait
from infra.operate.lag import Lag
from streams.sink import SinkUnavailable

LEFT = [Lag("camera.events", 0, 10, 4, None)]


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += max(seconds, 0.01)


def answers(*given: list[Lag] | Exception) -> Callable[[], list[Lag]]:
    """What is left, asked again and again; the last answer holds."""

    def each() -> Iterator[list[Lag] | Exception]:
        yield from given
        while True:
            yield given[-1]

    source = each()

    def left() -> list[Lag]:
        answer = next(source)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return left


def test_it_ends_when_nothing_is_left() -> None:
    """At once, when nothing is left at all."""
    clock = Clock()
    assert wait(answers([]), 10, clock, clock.sleep) == ([], "")
    assert clock.now == 0
    assert wait(answers(LEFT, LEFT, []), 10, clock, clock.sleep) == ([], "")


def test_when_the_time_is_over_it_says_what_is_left() -> None:
    """Having waited as long as was asked for."""
    clock = Clock()
    assert wait(answers(LEFT), 5, clock, clock.sleep) == (LEFT, "")
    assert 5 <= clock.now < 5.5


def test_a_store_that_is_away_is_asked_again() -> None:
    """It may be restarting; only when the time is over it is the reason."""
    clock = Clock()
    assert wait(answers(SinkUnavailable("away"), LEFT, []), 5, clock, clock.sleep) == ([], "")
    assert wait(answers(SinkUnavailable("away")), clock.now + 1, clock, clock.sleep) == ([], "away")


def test_what_is_paused_is_not_waited_for_once_the_rest_is_done() -> None:
    """A paused stream would keep it until the time is over, and say nothing."""
    paused = Lag("qr.payments", 1, 9, 3, None, paused=True)
    clock = Clock()
    assert wait(answers([*LEFT, paused], [paused]), 10, clock, clock.sleep) == ([paused], "")
    assert 0 < clock.now < 1
