"""The live view: 80 columns by 24 lines, whatever it shows."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from infra.view.render import HEIGHT, WIDTH, line, render
from infra.view.snapshot import Category, Junction, OfficeFigures, Snapshot, StreamState, clock, dong, short

NOW_MS = 1_764_000_000_000  # 2025-11-24 23:00:00 in Vietnam
HUGE = 10**15
CATEGORIES = ("school", "hospital", "supermarket", "convenience_store", "market", "government", "other")


def drawn(snapshot: Snapshot, width: int = WIDTH) -> list[str]:
    """The lines of a picture, as a terminal of this width shows them."""
    out = io.StringIO()
    Console(file=out, width=width, legacy_windows=False).print(render(snapshot))
    return out.getvalue().splitlines()


def stream(name: str, **values: float | None) -> StreamState:
    """A stream's state, with zeros where nothing else is said."""
    zeros: dict[str, float | None] = {
        "events": 0, "per_second": None, "windows": 0, "watermark_ms": None, "lag": None,
        "late": 0, "duplicates": 0, "strays": 0, "dead": 0,
    }  # fmt: skip
    return StreamState(name=name, **(zeros | values))  # type: ignore[arg-type]  # the fields' own types


FULL = Snapshot(
    NOW_MS,
    15,
    (
        stream(
            "camera",
            events=1_234_567,
            per_second=812.4,
            windows=9876,
            watermark_ms=NOW_MS - 121_000,
            lag=12,
            strays=45_678,
        ),
        stream("qr"),
        stream("service"),
    ),
    tuple(Junction(f"Ngã tư Chiến Thắng Sông Lô – Quang Trung số {n}", 4321, 33.4) for n in range(5)),
    tuple(OfficeFigures(f"Bộ phận Một cửa UBND phường Hưng Thành {n}", 12, 9, 1) for n in range(5)),
    tuple(Category(c, 120, 3, 1_234_567_000 // (n + 1)) for n, c in enumerate(CATEGORIES)),
)
EXTREME = Snapshot(
    NOW_MS,
    15,
    tuple(
        stream(f"a_long_name_{n}", events=HUGE, per_second=1e9, windows=HUGE, watermark_ms=1, lag=HUGE,
               late=HUGE, duplicates=HUGE, strays=HUGE, dead=HUGE)
        for n in range(4)
    ),
    tuple(Junction("Ủy ban nhân dân 人民 " * 9, HUGE, 999.9) for _ in range(5)),
    tuple(OfficeFigures("Ỷ La " * 30, HUGE, HUGE, HUGE) for _ in range(5)),
    tuple(Category("x" * 64, HUGE, HUGE, HUGE * 100) for _ in range(7)),
    trouble="Kafka does not answer " * 20,
)  # fmt: skip


@pytest.mark.parametrize("snapshot", [Snapshot(NOW_MS, 15), FULL, EXTREME], ids=["empty", "full", "extreme"])
def test_the_picture_fits_a_small_terminal(snapshot: Snapshot) -> None:
    """No line is wider than 80 cells, also with diacritics and wide characters; at most 24 lines."""
    lines = drawn(snapshot)
    assert max(map(cell_len, lines)) <= WIDTH
    assert len(lines) <= HEIGHT + (snapshot is EXTREME)  # four streams are one more than there are


def test_the_picture_shows_what_is_asked_for() -> None:
    """Events, rate, windows, watermark and its age, lag, strays; names with diacritics; dong with dots."""
    text = "\n".join(drawn(FULL))
    for expected in (
        "1.234.567",
        "812",
        "9.876",
        "22:57:59",
        "2 min",
        "12",
        "45,7k",
        "Chiến Thắng Sông Lô",
        "33",
    ):
        assert expected in text
    for expected in ("Phường Hưng Thành", "90 %", "convenience store", "1.234.567.000 ₫", "2,4 %"):
        assert expected in text


def test_numbers_do_not_run_together() -> None:
    """Each column leaves a space before it, also with the longest that it shows."""
    most = stream(
        "service", events=99_999_999, per_second=99_900, windows=99_999, watermark_ms=NOW_MS - 5_940_000,
        lag=99_900, late=99_900, duplicates=99_900, strays=99_900, dead=99_900,
    )  # fmt: skip
    (row,) = [row for row in drawn(Snapshot(NOW_MS, 15, (most,))) if row.startswith("service")]
    assert row.split() == [
        "service", "99.999.999", "99,9k", "99.999", "21:21:00", "99", "min", *["99,9k"] * 5
    ]  # fmt: skip


def test_the_largest_category_has_the_longest_bar() -> None:
    """Bars are in proportion to the amounts."""
    bars = [row.count("█") for row in drawn(FULL) if "█" in row]
    assert bars[:2] == [20, 10]
    assert bars == sorted(bars, reverse=True)


def test_what_could_not_be_asked_is_said() -> None:
    """A store that is away must not look like a city without events."""
    assert "ClickHouse is away" in "\n".join(drawn(Snapshot(NOW_MS, 15, trouble="ClickHouse is away")))


def test_in_a_pipe_it_is_one_line() -> None:
    """Time, and each stream's events, rate and lag."""
    text = line(FULL)
    assert text.startswith("23:00:00 camera 1.234.567 events (812/s), lag 12; qr 0 events")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1,0k"),
        (1234, "1,2k"),
        (99_960, "100k"),
        (4_500_000, "4,5M"),
        (2e12, "2,0T"),
    ],
)
def test_short_numbers(number: float, text: str) -> None:
    """Five characters are enough for anything that is counted here."""
    assert short(number) == text


def test_money_and_times_are_vietnamese() -> None:
    """Dots between thousands, the sign behind; the clock of Hà Nội."""
    assert dong(1_234_567) == "1.234.567 ₫"
    assert (clock(NOW_MS), clock(None)) == ("23:00:00", "-")


def test_a_paused_stream_is_seen() -> None:
    """In the picture where its age was, and in the line for logs."""
    snapshot = Snapshot(NOW_MS, 15, (replace(stream("camera", per_second=3.0), paused=True), stream("qr")))
    (row,) = [row for row in drawn(snapshot) if row.startswith("camera")]
    assert row.split()[5] == "paused"
    assert line(snapshot).count("PAUSED") == 1
