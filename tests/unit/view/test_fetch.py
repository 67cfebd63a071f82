"""What the live view makes of progress rows and offsets."""

from typing import Any

from infra.view.fetch import stream_state
from infra.view.snapshot import Snapshot
from streams.registry import load_streams

CAMERA = load_streams()["camera"]
NOW_MS = 1_764_000_000_000


def row(partition: int, folded: int, watermark_ms: int, next_offset: int = 0) -> dict[str, Any]:
    """A row of stream_progress."""
    return {
        "topic": CAMERA.topic, "partition": partition, "next_offset": next_offset,
        "watermark_ms": watermark_ms,
        "folded": folded, "duplicates": 1, "late": 2, "dead": 3, "strays": 4, "away": 0,
    }  # fmt: skip


def test_a_stream_is_the_sum_of_its_partitions() -> None:
    """Counts add up; the oldest watermark counts, but not that of a partition that has none yet."""
    progress = [row(0, 100, 5000, 90), row(1, 50, 7000, 60), row(2, 0, 0)]
    ends = {(CAMERA.topic, 0): 100, (CAMERA.topic, 1): 60, (CAMERA.topic, 2): 4, ("qr.payments", 0): 10**6}
    state = stream_state(CAMERA, progress, ends, {}, 7, NOW_MS, None)
    # a stray is counted where it was sent: by what becomes of it there
    assert (state.events, state.late, state.duplicates, state.dead) == (150 + 3 * 6, 6, 3, 9)
    assert state.strays == 12
    assert (state.watermark_ms, state.lag, state.windows, state.per_second) == (5000, 14, 7, None)


def test_the_rate_is_that_since_the_last_picture() -> None:
    """Events per second between two snapshots."""
    before = stream_state(CAMERA, [row(0, 100, 1)], {}, {}, 0, NOW_MS, None)
    snapshot = Snapshot(NOW_MS, 15, (before,))
    after = stream_state(CAMERA, [row(0, 600, 1)], {}, {}, 0, NOW_MS + 2000, snapshot)
    assert after.per_second == 250.0


def test_without_kafka_there_is_no_lag() -> None:
    """Unknown is not zero."""
    assert stream_state(CAMERA, [row(0, 1, 1)], {}, {}, 0, NOW_MS, None).lag is None
