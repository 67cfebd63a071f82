"""Offsets in, lags out."""

from typing import Any

import pytest

from infra.operate.lag import Lag, away, duration, lags, table

T = "camera.events"


def progress(partition: int, next_offset: int, watermark_ms: int = 0) -> dict[str, Any]:
    """A row of stream_progress, as far as it matters."""
    return {
        "topic": T, "partition": partition, "next_offset": next_offset, "watermark_ms": watermark_ms,
        "strays": 3, "away": partition,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("end", "start", "known", "expected"),
    [
        (10, 0, [progress(0, 4)], 6),
        (10, 0, [progress(0, 10)], 0),
        (10, 0, [], 10),  # never folded: all that Kafka has
        (10, 7, [], 3),  # and no more than it still has
        (0, 0, [], 0),
        (10, 0, [progress(1, 9)], 10),  # another partition's progress says nothing
    ],
)
def test_the_lag_of_a_partition(end: int, start: int, known: list[dict[str, Any]], expected: int) -> None:
    """Messages between what was folded and the end of the log."""
    (found,) = lags({(T, 0): end}, {(T, 0): start}, known)
    assert found.lag == expected
    assert not found.beyond


def test_progress_beyond_the_end_means_another_log() -> None:
    """Then there is no lag to speak of, but something to say."""
    (found,) = lags({(T, 0): 3}, {}, [progress(0, 9)])
    assert (found.lag, found.beyond) == (0, True)


def test_a_paused_stream_is_shown_as_paused() -> None:
    """Its watermark stands still for that reason."""
    found = lags({(T, 0): 5, ("qr.payments", 0): 5}, {}, [progress(0, 4, watermark_ms=1)], {T})
    assert [p.paused for p in found] == [True, False]
    assert [row.split()[-1] for row in table(found, 2)[1:]] == ["paused", "-"]


def test_the_table_fits_80_columns() -> None:
    """Also with a long topic and large numbers."""
    huge = Lag("service.transactions.of.another.city", 123, 10**15, 10**14, 1, strays=10**15)
    rows = table([huge, Lag(T, 0, 5, 4, None, strays=6)], 1_750_000_000_000)
    assert {len(row) for row in rows} == {80}
    assert rows[1].split()[2:6] == ["1.0e+15", "1.0e+14", "9.0e+14", "1.0e+15"]
    assert rows[2].split() == [T, "0", "5", "4", "1", "6", "-"]


def test_what_counts_away_from_home_is_said() -> None:
    """By topic: nobody finds repeats of it in other partitions."""
    found = lags(
        {(T, 0): 9, (T, 1): 9, (T, 2): 9, ("qr.payments", 0): 9}, {}, [progress(p, 4) for p in range(3)]
    )
    assert [p.strays for p in found] == [3, 3, 3, 0]
    (line,) = away(found)
    assert line.startswith(f"{T}: 3 events have counted away from their home")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (99, "99 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (40 * 86_400, "40 d"),
        (-30, "-30 s"),
    ],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    """One unit, as large as it can be."""
    assert duration(seconds) == text
