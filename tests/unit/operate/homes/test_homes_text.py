"""How rehomings are told: lines of a terminal's width, JSON, and warnings."""

from dataclasses import replace

import pytest

from infra.operate.homes.rehomer import Rehomed, TopicHomes
from infra.operate.homes.start import wait_until_left
from infra.operate.homes.text import rehomed_json, rehomed_lines, warnings
from streams.core.home import Homes
from streams.core.rehoming import Target
from streams.registry import load_streams

SPEC = replace(load_streams()["camera"], topic="t" * 249)
BEFORE = Homes(SPEC.topic, "", 0, 65_535, True, 65_534)
FOUND = TopicHomes(
    SPEC, BEFORE, Target("", (0,) * 4096, False), "homes are reckoned by 65535 partitions, it has 4096", 7,
    frozenset({3, 11}),
)  # fmt: skip
NOW = replace(BEFORE, change=1, partitions=4096, forward=False, epoch=65_535)
DAY_MS = 86_400_000


@pytest.mark.parametrize("dry_run", [False, True])
def test_lines_fit_a_terminal(dry_run: bool) -> None:
    """With the largest numbers that there may be."""
    kept = Rehomed(replace(FOUND, reason=""))
    new = Rehomed(replace(FOUND, reason="", before=None))
    changed = Rehomed(FOUND, None if dry_run else NOW)
    lines = rehomed_lines([changed, kept, new], dry_run=dry_run)
    assert max(map(len, lines)) <= 80
    told = "would rehome" if dry_run else "rehomed"
    assert lines[1].split()[1:] == [
        "65535",
        "->",
        "4096",
        "count",
        "65534" if dry_run else "65535",
        *told.split(),
    ]
    assert lines[3].split()[1:] == ["65535", "forward", "65534", "unchanged"]
    assert lines[4].split()[1:] == ["-", "count", "-", "unchanged"]


def test_json_has_what_was_and_what_is() -> None:
    """For scripts."""
    told = rehomed_json(Rehomed(FOUND, NOW, (0, DAY_MS)))
    assert told["homes_before"] == 65_535
    assert (told["homes"], told["strays"], told["epoch"], told["offsets_read"]) == (4096, "count", 65_535, 7)
    assert (told["first_window_ms"], told["last_window_ms"]) == (0, DAY_MS)
    kept = rehomed_json(Rehomed(replace(FOUND, reason="")))
    assert (kept["rehomed"], kept["homes"], kept["strays"]) == (False, 65_535, "forward")


def test_what_may_count_twice_is_said_by_days() -> None:
    """Of the city's own time; nothing of what was not changed."""
    days = [*warnings([Rehomed(FOUND, NOW, (0, 3 * DAY_MS))])]
    assert "an event of 1970-01-01 to 1970-01-04" in days[0]
    assert "partitions 3, 11" in days[1]
    assert "of 1970-01-01 that" in next(warnings([Rehomed(FOUND, NOW, (0, DAY_MS // 2))]))
    assert list(warnings([Rehomed(FOUND)])) == []


class Group:
    """A group whose members leave one by one."""

    def __init__(self, members: int) -> None:
        self.left = [f"songlo-worker at host-{n}" for n in range(members)]

    def members(self, group: str) -> list[str]:
        """Those that are left."""
        assert group == "songlo"
        return [self.left.pop()] if self.left else []


def test_members_that_were_killed_are_waited_for() -> None:
    """Nobody is left, or somebody stays longer than a session."""
    assert wait_until_left(Group(1), "songlo", 20) == []  # type: ignore[arg-type]  # what is asked of an Admin
    assert wait_until_left(Group(9), "songlo", 0) == ["songlo-worker at host-8"]  # type: ignore[arg-type]  # as above
