"""Times as operators write them."""

import pytest

from infra.operate.times import clock_text, moment_ms, short_text

NOW_MS = 1_746_064_800_000  # 2025-05-01 09:00:00 in Vietnam


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("3 d", 3 * 86_400),
        ("2025-05-01T09:00", 0),
        ("2025-05-01 08:59:30", 30),
        ("2025-05-01", 9 * 3600),
        ("2025-05-01T02:00:00Z", 0),
        ("2025-05-01T02:00+00:00", 0),
    ],
)
def test_a_moment(text: str, ago_s: int) -> None:
    """Some time ago, or a point in time: Vietnam's where no offset is given."""
    assert moment_ms(text, NOW_MS) == NOW_MS - ago_s * 1000


@pytest.mark.parametrize("text", ["", "yesterday", "5", "-3h", "2025-13-01"])
def test_what_is_no_time(text: str) -> None:
    """It says what one may write."""
    with pytest.raises(ValueError, match="30m, 2h, 3d"):
        moment_ms(text, NOW_MS)


def test_times_are_shown_as_vietnam_has_them() -> None:
    """Long, and short for a table."""
    assert clock_text(NOW_MS) == "2025-05-01 09:00:00"
    assert short_text(NOW_MS) == "05-01 09:00"
