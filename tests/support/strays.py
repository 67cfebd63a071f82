"""Strays in tests: a log that takes them, and a sender where none may be."""

from collections.abc import Sequence

from streams.core.values import StrayMessage


def none_sent(strays: Sequence[StrayMessage]) -> None:
    """Where homes are not reckoned there are none."""
    raise AssertionError(f"{len(strays)} messages of strays were sent")
