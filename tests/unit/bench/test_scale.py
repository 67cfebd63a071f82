"""What workers did while all of them were at work, from flushes that were seen."""

import pytest

from tests.bench.scale import Moment, rate_of
from tests.bench.songlo import WorkerError


def moments(*seen: tuple[float, dict[int, int]]) -> list[Moment]:
    """Each second costs a worker 0.9 of a core."""
    return [Moment(at, stored, {"worker": at * 0.9}) for at, stored in seen]


def test_partitions_count_from_their_second_flush_to_their_last() -> None:
    """
    partition 0  |..100....200....300....400..|  100 a second
    partition 1  |.........50.....250....450..|  200 a second, from later on
    """
    seen = moments(
        (1, {0: 100}),
        (2, {0: 200, 1: 50}),
        (2.5, {0: 200, 1: 150}),
        (3, {0: 300, 1: 150}),
        (3.5, {0: 300, 1: 350}),
        (4, {0: 400, 1: 350}),
    )
    rate, begin, end = rate_of(seen)
    assert rate == 100 + 200
    assert (begin.at, end.at) == (3, 3.5)


@pytest.mark.parametrize(
    "seen",
    [
        moments((1, {0: 1})),
        moments((1, {0: 1}), (2, {0: 2}), (3, {0: 3}), (4, {0: 3, 1: 7})),
        moments(
            (1, {0: 1, 1: 0}), (2, {0: 2, 1: 0}), (3, {0: 3, 1: 0}), (4, {0: 4, 1: 0}), (5, {0: 4, 1: 1}),
            (6, {0: 4, 1: 2}), (7, {0: 4, 1: 3}), (8, {0: 4, 1: 4}),
        ),
    ],
    ids=["one flush", "a partition too late", "one behind the other"],
)  # fmt: skip
def test_too_few_flushes_are_told(seen: list[Moment]) -> None:
    """Nothing is made up from them."""
    with pytest.raises(WorkerError, match="take more --events"):
        rate_of(seen)
