"""Which partitions are sought, and how often."""

import asyncio

from streams.worker.seeks import Seeks

P0, P1 = ("camera.events", 0), ("camera.events", 1)


def test_each_is_sought_once_and_only_where_it_is_held() -> None:
    """Whoever looks after them is woken; what was lost to another worker meanwhile is forgotten."""
    wake = asyncio.Event()
    seeks = Seeks(wake)
    seeks.add([P0, P1])
    assert wake.is_set()
    assert (seeks.wanted, seeks.take({P0}), seeks.wanted, seeks.take({P0, P1})) == ({P0, P1}, [P0], set(), [])


def test_what_is_still_on_its_way_after_a_seek_is_no_new_gap() -> None:
    """Of one partition; another one has its own."""
    seeks = Seeks(asyncio.Event())
    for partition in (P0, P0, P1):
        seeks.gap(partition, 5, 3)
    assert sorted(seeks.take({P0, P1})) == [P0, P1]
    seeks.gap(P0, 6, 3)
    assert not seeks.wanted
    seeks.out_of_range({P0: 6})
    assert seeks.wanted == {P0}
