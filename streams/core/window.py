"""Tumbling panes: half-open windows `[start, end)` in epoch milliseconds, aligned to the epoch."""

HOUR_MS = 3_600_000


def pane_start(at_ms: int, pane_ms: int) -> int:
    """The start of the pane that holds `at_ms`."""
    return at_ms - at_ms % pane_ms


def check_pane(pane_ms: int) -> int:
    """`pane_ms` itself; raises ValueError unless it is whole seconds and divides an hour.

    A pane that divides the hour also divides the day and every longer window made of panes.
    """
    if pane_ms < 1000 or pane_ms % 1000 or HOUR_MS % pane_ms:
        raise ValueError(f"a window of {pane_ms} ms does not divide an hour into whole seconds; try 60000")
    return pane_ms
