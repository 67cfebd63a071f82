"""Failpoints: named, counted, and off by default."""

import pytest

from streams.worker.failpoints import ALL_FAILPOINTS, FailpointReached, failpoints, pass_by


def test_no_setting_costs_nothing() -> None:
    """The function that does nothing."""
    assert failpoints("") is pass_by


def test_a_failpoint_acts_at_its_count_and_once() -> None:
    """The third passage of one, the first of another."""
    acted: list[tuple[str, str]] = []
    failpoint = failpoints("commit.before@3=kill, flush.before_rows=stop", lambda *what: acted.append(what))
    for _ in range(5):
        failpoint("commit.before")
    failpoint("flush.before_rows")
    failpoint("flush.before_ids")
    assert acted == [("commit.before", "kill"), ("flush.before_rows", "stop")]


def test_raise_raises() -> None:
    """A failure that no library has."""
    with pytest.raises(FailpointReached, match=r"commit\.after"):
        failpoints("commit.after=raise")("commit.after")


@pytest.mark.parametrize("setting", ["commit.befor=kill", "commit.before=crash", "commit.before@x=kill"])
def test_a_misspelt_setting_is_refused(setting: str) -> None:
    """A test that never fires would pass."""
    with pytest.raises(ValueError, match="failpoint"):
        failpoints(setting)


def test_names_are_unique() -> None:
    """The flush has its own, delivery adds to them."""
    assert len(set(ALL_FAILPOINTS)) == len(ALL_FAILPOINTS)
