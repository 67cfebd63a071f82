"""When a worker stands still, and every reason for which it may."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from streams.worker.health.stall import PARTITION_TIMES, Patience, Sample, stalled

A, B, OTHER = ("camera.events", 0), ("camera.events", 1), ("qr.payments", 0)
PATIENCE = Patience(stall_s=60, rebalance_s=30)
STEP_S = 10
Change = Callable[[int, Sample], Sample]


def sampled(seconds: int, change: Change = lambda _, s: s) -> list[Sample]:
    """A sample every 10 s; A stands at 5 of 9, B has nothing to read, OTHER is elsewhere each time."""
    samples = []
    for at in range(0, seconds + 1, STEP_S):
        positions, ends = {A: 5, B: 7, OTHER: at}, {A: 9, B: 7, OTHER: at + 100}
        samples.append(change(at, Sample(at_s=at, positions=positions, ends=ends)))
    return samples


def verdict(samples: Iterable[Sample], patience: Patience = PATIENCE) -> str:
    """Asked as soon as the newest sample is there."""
    known = list(samples)
    return stalled(known, known[-1].at_s, patience)


def at_most(at: int, last: int, **change: object) -> Change:
    """A change of the samples from `at` to `last`."""
    return lambda now, s: replace(s, **change) if at <= now <= last else s  # type: ignore[arg-type] # as the test says


def test_a_stream_that_does_not_move_for_the_whole_time() -> None:
    """The partition is named with its offset, the end of its log and the time.

    s      0    10   20   30   40   50   60
    A      5/9  5/9  5/9  5/9  5/9  5/9  5/9   stalled at 60
    OTHER  moves all the time, and is no excuse for another stream
    """
    assert verdict(sampled(50)) == ""
    assert verdict(sampled(60)) == "camera.events[0] has stood at offset 5 for 60 s, its log ends at 9"


@pytest.mark.parametrize(
    "change",
    [
        at_most(0, 1000, ends=None),  # Kafka is away: nothing can be known
        at_most(0, 1000, waits=True),  # the sink is away
        at_most(0, 1000, rebalance_s=20),  # one rebalance after the other, each within its time
        at_most(0, 1000, paused={"camera.events"}),
        at_most(0, 1000, ends={A: 5, B: 7}),  # nothing to read
        at_most(0, 1000, positions={}),  # no partitions: there are more workers than partitions
        lambda at, s: replace(s, positions={A: 5 + at, B: 7}),  # it moves
        # reasons that ended less than 60 s ago
        at_most(990, 990, ends=None),
        at_most(950, 950, waits=True),
        at_most(950, 950, rebalance_s=1),
        at_most(950, 950, paused={"camera.events"}),
        at_most(950, 950, ends={A: 5, B: 7}),
        at_most(950, 950, positions={B: 7}),
        lambda at, s: replace(s, positions={A: 4 if at < 950 else 5, B: 7}),
    ],
)
def test_reasons_to_stand_still(change: Change) -> None:
    """Each of them as long as it lasts, and the whole time again afterwards."""
    assert verdict(sampled(1000, change)) == ""


@pytest.mark.parametrize("seconds", [60, 600, 6000])
def test_a_reason_that_has_ended_is_none(seconds: int) -> None:
    """60 s after the sink came back."""
    assert verdict(sampled(seconds + 100, at_most(0, 90, waits=True)))


def test_one_partition_of_a_stream_that_moves_has_ten_times_as_long() -> None:
    """Hundreds of partitions are read in turn."""

    def b_moves(at: int, s: Sample) -> Sample:
        return replace(s, positions={A: 5, B: at}, ends={A: 9, B: at})

    longest = 60 * PARTITION_TIMES
    assert verdict(sampled(longest - STEP_S, b_moves)) == ""
    assert verdict(sampled(longest, b_moves)).startswith("camera.events[0] has stood at offset 5 for 600 s")


@pytest.mark.parametrize("name", ["event loop", "consumer thread"])
def test_a_thread_that_does_not_answer(name: str) -> None:
    """Whatever the worker may wait for, no thread blocks for it; also without a partition."""
    change = at_most(20, 1000, silent={name}, waits=True, ends=None, positions={})
    assert verdict(sampled(70, change)) == ""
    assert verdict(sampled(80, change)) == f"the {name} has not answered for 60 s"
    assert verdict(sampled(300, at_most(20, 290, silent={name}, positions={}))) == ""


def test_a_rebalance_that_does_not_end() -> None:
    """Once it has taken longer than it may, for as long as anything may stand still."""

    def since_0(at: int, s: Sample) -> Sample:
        return replace(s, positions={}, rebalance_s=at)

    assert verdict(sampled(90, since_0)) == ""
    assert verdict(sampled(100, since_0)) == (
        "a rebalance, or the start, has not ended after 100 s; it may take 30 s"
    )


@pytest.mark.parametrize("reason", [{"ends": None}, {"waits": True}])
def test_a_rebalance_that_waits_may_take_long(reason: dict[str, object]) -> None:
    """Progress is read from the sink, the bounds of the log from Kafka: both may be away."""
    samples = [replace(s, rebalance_s=s.at_s, **reason) for s in sampled(1000)]  # type: ignore[arg-type] # as above
    assert verdict(samples) == ""


def test_a_gap_in_the_samples_begins_anew() -> None:
    """The process was stopped, and woke: it has the whole time to move.

    s    0 10 20 ............. 400 410 420 … 460
    """
    before = sampled(20)
    after = [replace(s, at_s=s.at_s + 400) for s in sampled(60)]
    assert verdict([*before, *after[:6]]) == ""
    assert verdict([*before, *after])
    assert stalled(sampled(60), 200, PATIENCE) == ""


def test_no_samples_no_verdict() -> None:
    """Before the first one."""
    assert stalled([], 0, PATIENCE) == ""
