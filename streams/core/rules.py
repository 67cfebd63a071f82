"""The rules that a stream is folded by: of time, in milliseconds, and the bounds of what is taken."""

from dataclasses import dataclass, field

from streams.core.limits import Limits
from streams.core.window import check_pane


@dataclass(frozen=True, slots=True)
class Rules:
    """Pane length, allowed disorder in a partition, and how far an event may lie ahead of its append time.

    Raises ValueError when the pane does not divide an hour, or an allowance is negative.
    """

    pane_ms: int = 60_000
    disorder_ms: int = 120_000
    skew_ms: int = 300_000
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        check_pane(self.pane_ms)
        if self.disorder_ms < 0 or self.skew_ms < 0:
            raise ValueError(
                f"the disorder ({self.disorder_ms} ms) and the skew ({self.skew_ms} ms) must be >= 0"
            )


def watermark(max_event_ms: int, max_append_ms: int, disorder_ms: int) -> int:
    """No event before this time is expected any more: events may come this much out of order.

    The append time bounds it, so that one device whose clock runs fast can't make all others late.
    Never below 0, so that a partition without events has closed nothing.
    """
    return max(0, min(max_event_ms, max_append_ms) - disorder_ms)
