"""Points in time as operators write them: '30m', '2h', '3d' ago, or a date with or without a time of day."""

import re
from datetime import datetime, timedelta, timezone

VIETNAM = timezone(timedelta(hours=7), "ICT")
_AGO = re.compile(r"(\d+)\s*([smhd])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def moment_ms(text: str, now_ms: int) -> int:
    """Epoch milliseconds. A time without an offset is Vietnam's. Raises ValueError."""
    if ago := _AGO.fullmatch(text.strip()):
        return now_ms - int(ago[1]) * _UNIT_MS[ago[2]]
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 30m, 2h, 3d, 2025-05-01 or 2025-05-01T08:30") from None
    at = at if at.tzinfo else at.replace(tzinfo=VIETNAM)
    return round(at.timestamp() * 1000)


def clock_text(ms: int) -> str:
    """The date and time in Vietnam, to the second."""
    return f"{datetime.fromtimestamp(ms / 1000, VIETNAM):%Y-%m-%d %H:%M:%S}"


def short_text(ms: int) -> str:
    """Month, day, hour and minute in Vietnam: 11 characters."""
    return f"{datetime.fromtimestamp(ms / 1000, VIETNAM):%m-%d %H:%M}"
