"""Waiting until nothing is left."""

from collections.abc import Callable, Iterator

from infra.cli.drain import drain, wait
from infra.operate.lag import Lag, Offsets
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


class Log:
    """One topic of two partitions: what is sent home from the first arrives in the second."""

    def __init__(self, *, strays: int, pace: int, traffic: int = 0) -> None:
        self.ends, self.folded = {("t", 0): 10, ("t", 1): 0}, {("t", 0): 0, ("t", 1): 0}
        self._strays, self._pace, self._traffic = strays, pace, traffic
        self.rounds = 0

    def left(self, up_to: Offsets) -> list[Lag]:
        """Each look finds some more folded; producers go on."""
        for place, end in self.ends.items():
            moved = min(end, self.folded[place] + self._pace)
            if place == ("t", 0) and self.folded[place] < 10 <= moved:
                self.ends["t", 1] += self._strays
            self.folded[place] = moved
        self.ends["t", 0] += self._traffic
        found = [Lag(*place, end, self.folded[place], None) for place, end in up_to.items()]
        return [p for p in found if p.lag]

    def ends_of_strays(self) -> Offsets:
        """All ends, once there are any."""
        self.rounds += 1
        return dict(self.ends) if self._strays and self.folded["t", 0] >= 10 else {}


def drained(log: Log, timeout: float = 100) -> tuple[list[Lag], str]:
    """Wait for what is in the log now."""
    clock = Clock()
    return drain(log.left, dict(log.ends), log.ends_of_strays, timeout, clock, clock.sleep)


def test_strays_are_waited_for_where_they_were_sent() -> None:
    """They arrive behind the ends that were asked for first."""
    log = Log(strays=7, pace=3)
    assert drained(log) == ([], "")
    assert log.folded["t", 1] == 7
    assert log.rounds == 1


def test_without_strays_one_round_is_enough() -> None:
    """What arrives meanwhile is not waited for."""
    log = Log(strays=0, pace=3, traffic=1)
    assert drained(log) == ([], "")
    assert log.folded["t", 0] < log.ends["t", 0]


def test_producers_that_go_on_do_not_keep_it() -> None:
    """It looks at the ends twice and not again, however fast they move."""
    log = Log(strays=7, pace=3, traffic=30)
    assert drained(log) == ([], "")
    assert log.rounds == 1


def test_a_round_that_was_not_done_has_no_second() -> None:
    """What is left of the first is what is said; and a store that is away then is the reason."""
    log = Log(strays=7, pace=0)
    remaining, failure = drained(log, 1)
    assert [p.lag for p in remaining] == [10]
    assert not failure
    assert log.rounds == 0

    def away() -> Offsets:
        raise SinkUnavailable("away")

    clock = Clock()
    assert drain(lambda _: [], {}, away, 1, clock, clock.sleep) == ([], "away")
