"""How many dead letters are too many, and a switch that concurrent writers can't turn the wrong way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.breaker import Breaker, Limit, Recent
from streams.core.refusals import RefusalSummary
from streams.core.values import version_of

LIMIT = Limit(50, 1000)
Counts = list[tuple[int, int]]


def trips(batches: Counts, limit: Limit = LIMIT) -> int | None:
    """The number of the batch that trips, counted from 1; None when none does."""
    recent = Recent(limit)
    return next(
        (n for n, batch in enumerate(batches, 1) if recent.add(batch[0], RefusalSummary(batch[1]))), None
    )


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        # (events read, of them dead) by batch, of a limit of 50 % of 1,000
        ([(100, 100)] * 5, None),  # 500 dead: exactly half of 1,000, were the others good
        ([(100, 100)] * 6, 6),  # more than half of the last 1,000, whatever came before
        ([(100, 50)] * 1000, None),  # half, for ever
        ([(100, 51)] * 1000, 10),
        ([(100, 0)] * 100 + [(100, 100)] * 6, 106),  # what was good long ago is no excuse
        ([(100, 100), (100, 0)] * 500, None),
        ([(1, 1)] * 501, 501),  # the size of a batch does not matter
        ([(5000, 2500)], None),  # a batch larger than the limit counts as a whole
        ([(5000, 2501)], 1),
        ([(600, 600)], 1),
        ([(0, 0)] * 50, None),
        ([(1000, 500), (1000, 501)], 2),
    ],
)
def test_when_a_stream_trips(batches: Counts, expected: int | None) -> None:
    """The share is that of the last events read, and takes as many dead letters as the limit has room for.

    events   ....good good good│dead dead dead
    window                 └── 1,000 ──┘   trips at the 501st dead one within it
    """
    assert trips(batches) == expected


def test_a_limit_of_0_is_off() -> None:
    """Whatever is refused."""
    assert trips([(1000, 1000)] * 50, Limit(0, 1000)) is None


@pytest.mark.parametrize(("percent", "events"), [(-1, 10), (100, 10), (50, 0)])
def test_a_limit_that_can_not_be_is_refused(percent: int, events: int) -> None:
    """100 % could never be exceeded."""
    with pytest.raises(ValueError, match="limit"):
        Limit(percent, events)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=300))
def test_the_window_holds_the_last_events(sizes: Counts) -> None:
    """At least the limit's number as soon as there are so many, at most two parts and a batch more."""
    limit, batches = Limit(50, 200), [(max(pair), min(pair)) for pair in sizes]
    recent, total = Recent(limit), 0
    for read, dead in batches:
        recent.add(read, RefusalSummary(dead))
        total += read
        assert min(total, limit.events) <= recent.read <= limit.events + 2 * limit.events // 100 + 40
        assert 0 <= recent.dead <= recent.read


@given(st.lists(st.booleans(), max_size=2000))
def test_single_events_trip_where_a_plain_count_does(refused: list[bool]) -> None:
    """Against the definition, with a limit so small that nothing is merged."""
    limit = Limit(40, 50)
    plain = next(
        (n for n in range(1, len(refused) + 1) if 100 * sum(refused[max(0, n - 50) : n]) > 2000), None
    )
    assert trips([(1, int(r)) for r in refused], limit) == plain


def test_the_switch_goes_back_and_forth() -> None:
    """Each change is told with its time and reason; the same change again is none."""
    running = Breaker("camera")
    paused = running.pause(5, "too many")
    assert (running.paused, paused.paused, paused.at_ms, paused.reason) == (False, True, 5, "too many")
    assert paused.pause(6, "again") is paused
    assert running.resume(6, "nothing to do") is running
    resumed = paused.resume(7, "cured")
    assert (resumed.paused, resumed.at_ms, resumed.changes) == (False, 7, 2)


def test_a_pause_that_comes_too_late_loses() -> None:
    """Two workers trip; the operator resumes after the first; the second has not heard of either.

    worker A   pause(1) ─┐
    operator             └─ resume(2)
    worker B   ──────────────── pause(1)     the highest wins: running
    """
    start = Breaker("camera")
    first = start.pause(1, "A")
    resumed, second = first.resume(2, "operator"), start.pause(3, "B")
    assert max(first, resumed, second, key=lambda b: b.changes) is resumed


def test_to_skip_is_to_run_and_to_be_heard_of() -> None:
    """Whether it was paused or not; places only go on, and a later pause keeps them."""
    running, ends = Breaker("camera"), {0: 5, 1: 7}
    for before in (running, running.pause(1, "too many")):
        after = before.skip(ends, 2, "by hand")
        assert (after.paused, after.past, after.at_ms, after.reason) == (False, ends, 2, "by hand")
        assert after.changes > before.changes
    again = after.pause(3, "too many").skip({1: 6, 2: 9}, 4, "by hand")
    assert again.past == {0: 5, 1: 7, 2: 9}


@pytest.mark.parametrize(
    ("epoch", "offset"), [(0, 2**48), (2, 2**48), (3, 17), (4, 0), (65_535, 0)]
)  # fmt: skip
def test_what_is_skipped_is_of_its_log(epoch: int, offset: int) -> None:
    """A topic that was created anew begins its offsets again: nothing of it is skipped."""
    breaker = Breaker("camera").skip({1: version_of(3, 17)}, 1, "by hand")
    assert breaker.note_below(1, epoch) == offset
    assert breaker.note_below(0, epoch) == 0


def batch(*sources: tuple[str, str], each: int = 1) -> RefusalSummary:
    """Letters by the key of their message and their own."""
    refused = RefusalSummary(letters=len(sources) * each)
    for key, own in sources:
        refused.by_key.add(key.encode(), each)
        refused.by_own.add(own.encode(), each)
    return refused


CITY = [(f"cam-{n}", f"cam-{n}") for n in range(200)]


@pytest.mark.parametrize(
    ("refused", "good", "expected"),
    [
        # of a limit of 50 % of 1,000 events; 10 sources are a few
        ([("gw", "gw")] * 900, 0, False),
        ([("gw", f"cam-{n}") for n in range(900)], 0, False),  # a gateway of many cameras
        ([(f"{n}", "cam-1") for n in range(900)], 0, False),  # a camera with random keys
        ([(f"gw-{n % 10}",) * 2 for n in range(900)], 0, False),
        ([("gw", "gw")] * 990, 10, False),  # ten good ones beside it
        ([*[("gw", "gw")] * 900, *CITY[:45]], 0, False),  # what is left is less than half of a tenth
        ([*[("gw", "gw")] * 900, *CITY[:70]], 0, True),
        (CITY * 3, 400, True),  # half of the city
        (CITY * 3, 600, False),
    ],
)
def test_only_what_many_sources_cause_is_too_much(
    refused: list[tuple[str, str]], good: int, expected: bool
) -> None:
    """Without the ten most frequent, by whichever key explains more, too many must be left."""
    recent = Recent(LIMIT)
    recent.add(good)
    tripped = [recent.add(10, batch(*refused[at : at + 10])) for at in range(0, len(refused), 10)]
    assert any(tripped) == expected


def test_one_large_batch_is_judged_like_many_small_ones() -> None:
    """Of its sources only a hundred are told apart, the frequent ones among them."""
    everyone = batch(*[(f"{n}", f"{n}") for n in range(400)])
    everyone.letters += 5000
    everyone.by_key.add(b"gw", 5000)
    everyone.by_own.add(b"gw", 5000)
    assert not Recent(Limit(50, 10_000)).add(5800, everyone)
    assert Recent(Limit(50, 10_000)).add(5800, RefusalSummary(5800))
