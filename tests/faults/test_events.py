"""What events themselves do wrong, and logs that are read again: all of it comes with restarts in between."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import orjson

from tests.chaos.hostile import with_raw
from tests.chaos.rig import Rig
from tests.chaos.stored import stored_dead, stored_totals, versions
from tests.chaos.traffic import Message
from tests.faults.conftest import HOUR_MS, Mischief, NewRig

LOCAL = timezone(timedelta(hours=7))


def test_mischief_across_restarts(rig: Rig, traffic: Mischief, seed: int) -> None:
    """Repeats of a moment or hours ago, edges to the millisecond, clocks a day off, poison, bundles."""
    rng = Random(seed)
    (worker,) = rig.start_workers(1)
    much = {"again": 0.5, "edge": 0.3, "late": 0.2, "skewed": 0.1, "poison": 0.2, "bundle": 0.3}
    feed = rig.feed(traffic(seed, 3000, **much), rate=1500)
    for _ in range(2):
        time.sleep(rng.uniform(0.2, 0.8))
        worker.kill()
        worker.start()
    feed.join()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert min(verdict.late, verdict.duplicates, verdict.dead) > 200, verdict


def test_batches_that_no_client_makes_across_restarts(new_rig: NewRig, traffic: Mischief, seed: int) -> None:
    """Odd numbers, offsets that do not ascend, headers that are no text, and bombs: no worker minds them."""
    # rows of hundreds of months are as many parts, which a busy machine does not write in a second
    rng, rig = Random(seed), new_rig(clickhouse_s=5)
    workers = rig.start_workers(2)
    feed = rig.feed(
        with_raw(traffic(seed, 1500, future=0.05, ancient=0.05, chosen=0.05, burst=0.02), 0.03), 1000
    )
    for worker in workers:
        time.sleep(rng.uniform(0.2, 0.8))
        worker.kill()
        worker.start()
    feed.join()
    verdict = rig.judge()
    assert verdict.equal, verdict
    assert len(feed.truths) > 20
    assert all(worker.alive for worker in workers)


def test_a_day_of_backlog_over_a_month_boundary_twice(rig: Rig, traffic: Mischief, seed: int) -> None:
    """24 hours around the first of a month; then all of it again from offset 0, which changes no row."""
    first = datetime.now(LOCAL).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    ends = int((first + timedelta(hours=12)).timestamp() * 1000)
    rig.feed(traffic(seed, 3000, now_ms=ends, span_ms=24 * HOUR_MS, leaps=0)).join()
    (worker,) = rig.start_workers(1)
    verdict = rig.judge()
    assert verdict.equal, verdict
    once = stored_totals(rig.server), stored_dead(rig.server), row_versions(rig)
    worker.terminate()
    with rig.watch.closed_eyes():
        rig.ask("TRUNCATE TABLE progress")
        worker.start()
        rig.wait_caught_up()
        again = stored_totals(rig.server), stored_dead(rig.server), row_versions(rig)
    assert again == once
    verdict = rig.judge()
    assert verdict.equal, verdict


def row_versions(rig: Rig) -> dict[tuple[Any, ...], int]:
    """Those of rows: progress goes on, since strays are sent home once more, where they are repeats."""
    return {key: version for key, version in versions(rig.server).items() if key[0] not in rig.topics}


def many_cameras(seed: int, messages: int) -> Iterator[Message]:
    """Each of 200 events, each of a camera of its own: as many rows."""
    now_ms = time.time_ns() // 1_000_000
    for number in range(messages):
        events = [
            {"event_id": name, "camera_id": name, "occurred_at": now_ms, "ward_code": "1", "kind": "person"}
            for name in (f"{seed}/{number}/{i}" for i in range(200))
        ]
        yield Message("camera.events", str(number).encode(), orjson.dumps(events))


def test_memory_is_bounded_while_clickhouse_is_away(
    new_rig: NewRig, traffic: Mischief, seed: int, pace: float
) -> None:
    """A backlog of tens of thousands of rows does not fit into what may wait: the worker holds back."""
    rig = new_rig()
    worker = rig.worker()
    worker.start(pending_mb=4)
    worker.wait_ready()
    rig.feed(traffic(seed, 300)).join()
    rig.wait_caught_up()
    before_mb = worker.rss_mb
    proxy = rig.proxies[worker.name]
    proxy.behave("refuse")
    proxy.reset()
    rig.feed(many_cameras(seed, 300 if pace < 1 else 1500)).join()
    most_mb, back_at, ends = before_mb, time.monotonic() + 2, time.monotonic() + 90
    while time.monotonic() < back_at or (time.monotonic() < ends and rig.lag()):
        if time.monotonic() >= back_at:
            proxy.behave("pass")
        most_mb = max(most_mb, worker.rss_mb)
        time.sleep(0.05)
    # twice what may wait, and what fetches, the polls in queues and an insert need beside it
    assert most_mb - before_mb < 2 * 4 + 90
    verdict = rig.judge()
    assert verdict.equal, verdict
