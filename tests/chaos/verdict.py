"""The oracle's numbers against those stored: every row, every counter, every dead letter."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from sinks.clickhouse import ClickHouseAccess
from tests.chaos.log import Place
from tests.chaos.oracle import Counts, Key, Oracle
from tests.chaos.readings import Sums, widen
from tests.chaos.stored import stored_counts, stored_dead, stored_totals, verdicts

# a histogram keeps values within 1 %; rounded to a whole thousandth
ERROR, ROUNDING = 0.01, 1
SHOWN = 10


@dataclass(slots=True)
class Verdict:
    """What was compared, and what was wrong; nothing wrong means equal to the last unit."""

    events: int = 0
    rows: int = 0
    late: int = 0
    duplicates: int = 0
    dead: int = 0
    strays: int = 0
    wrong_rows: list[str] = field(default_factory=list)
    wrong_counts: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not self.wrong_rows and not self.wrong_counts

    def __str__(self) -> str:
        counted = (
            f"{self.events:,} events, {self.strays:,} strays, {self.duplicates:,} duplicates, "
            f"{self.late:,} late, {self.dead:,} dead"
        )
        compared = (
            f"{self.rows:,} rows, {len(self.wrong_rows):,} wrong; {len(self.wrong_counts):,} wrong counts"
        )
        return "\n  ".join([f"{counted}: {compared}", *islice([*self.wrong_rows, *self.wrong_counts], SHOWN)])


def judge(oracle: Oracle, server: ClickHouseAccess) -> Verdict:
    """Compare all that is stored with all that should be."""
    verdict = Verdict(
        events=oracle.events,
        rows=len(oracle.totals),
        late=sum(c.late for c in oracle.counts.values()),
        duplicates=sum(c.duplicates for c in oracle.counts.values()),
        dead=sum(c.dead for c in oracle.counts.values()),
        strays=sum(c.strays for c in oracle.counts.values()),
    )
    verdict.wrong_rows += differing(oracle.totals, stored_totals(server))
    verdict.wrong_counts += _counts(oracle.counts, stored_counts(server))
    verdict.wrong_counts += _dead(oracle.dead, stored_dead(server))
    verdict.wrong_counts += [
        f"{topic}[{p}]: the view says {said!r}"
        for (topic, p), said in verdicts(server).items()
        if said != _said(oracle.counts.get((topic, p), Counts()))
    ]
    return verdict


def _said(counts: Counts) -> str:
    """What the view has to say of a partition in which all is accounted for."""
    return "exact if no repeats" if counts.away else "exact"


def differing(wanted: Mapping[Key, Sums], found: Mapping[Key, Sums]) -> list[str]:
    """The totals that are missing, too many, or not equal, in words."""
    return [
        f"{key}: want {wanted.get(key)}, found {found.get(key)}"
        for key in sorted(wanted.keys() | found.keys())
        if not _equal(wanted.get(key), found.get(key))
    ]


def whole(totals: Mapping[Key, Sums]) -> dict[Key, Sums]:
    """The totals with late events and others in one: what holds even where a gap has closed panes early."""
    merged: dict[Key, Sums] = {}
    for key, sums in totals.items():
        to = merged.setdefault(key._replace(late=False), Sums())
        to.events += sums.events
        to.sums.update(sums.sums)
        for name, value in sums.extremes.items():
            widen(to, name, value)
        for name, values in sums.values.items():
            to.values.setdefault(name, Counter()).update(values)
    return merged


def _equal(wanted: Sums | None, found: Sums | None) -> bool:
    if wanted is None or found is None or wanted.events != found.events:
        return False
    if +wanted.sums != +found.sums or wanted.extremes != found.extremes:
        return False
    if wanted.values.keys() != found.values.keys():
        return False
    return all(_close(values, found.values[name]) for name, values in wanted.values.items())


def _close(wanted: Counter[int], found: Counter[int]) -> bool:
    """Whether each value, in their order, has become one that is within the error."""
    if wanted.total() != found.total():
        return False
    return all(
        abs(a - b) <= a * ERROR + ROUNDING
        for a, b in zip(sorted(wanted.elements()), sorted(found.elements()), strict=True)
    )


def _counts(wanted: Mapping[Place, Counts], found: Mapping[Place, Counts]) -> Iterator[str]:
    for place in sorted(wanted.keys() | found.keys()):
        want, got = wanted.get(place, Counts()), found.get(place, Counts())
        if want != got:
            yield f"{place}: want {want}, progress has {got}"


def _dead(wanted: set[tuple[str, int, int, int]], found: Counter[tuple[str, int, int, int]]) -> Iterator[str]:
    for letter in sorted(wanted | found.keys()):
        if found[letter] != (letter in wanted):
            yield f"dead letter {letter}: want {int(letter in wanted)}, found {found[letter]}"
