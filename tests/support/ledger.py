"""What the tests of faults have compared, as a table: told by each test, added up where pytest ends."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

import orjson

from streams.worker.failpoints import ALL_FAILPOINTS
from tests.chaos.verdict import Verdict

PROPERTY = "fault"
HEAD = ("fault", "seeds", "failed", "events", "rows compared", "wrong rows", "wrong counts")


@dataclass(slots=True)
class Line:
    """One fault, over all its seeds."""

    seeds: int = 0
    failed: int = 0
    events: int = 0
    rows: int = 0
    wrong_rows: int = 0
    wrong_counts: int = 0
    failpoints: Counter[str] = field(default_factory=Counter)


def told(verdicts: Iterable[Verdict], failpoints: Iterable[str]) -> str:
    """What a test tells of itself, as the value of its property."""
    verdicts = list(verdicts)
    return orjson.dumps(
        {
            "events": sum(v.events for v in verdicts),
            "rows": sum(v.rows for v in verdicts),
            "wrong_rows": sum(len(v.wrong_rows) for v in verdicts),
            "wrong_counts": sum(len(v.wrong_counts) for v in verdicts),
            "failpoints": list(failpoints),
        }
    ).decode()


class Ledger:
    """Adds up the reports of pytest; `lines` are by fault, in words."""

    def __init__(self, reports: Iterable[object]) -> None:
        self.lines: dict[str, Line] = {}
        for report in reports:
            when, properties = getattr(report, "when", ""), dict(getattr(report, "user_properties", ()))
            if (
                when == "call"
                and getattr(report, "failed", False)
                and "/faults/" in getattr(report, "nodeid", "")
            ):
                self._line(report).failed += 1
            if when == "teardown" and PROPERTY in properties:
                self._add(self._line(report), orjson.loads(properties[PROPERTY]))

    def _line(self, report: object) -> Line:
        name = str(getattr(report, "nodeid", "")).rpartition("::")[2].partition("[")[0]
        return self.lines.setdefault(name.removeprefix("test_").replace("_", " "), Line())

    def _add(self, line: Line, one: dict[str, object]) -> None:
        line.seeds += 1
        for name in ("events", "rows", "wrong_rows", "wrong_counts"):
            setattr(line, name, getattr(line, name) + one[name])
        line.failpoints.update(one["failpoints"])  # type: ignore[arg-type] # a list of names

    @property
    def failpoints(self) -> Counter[str]:
        """How often each failpoint has ended or stopped a worker."""
        return sum(
            (line.failpoints for line in self.lines.values()), Counter(dict.fromkeys(ALL_FAILPOINTS, 0))
        )

    def as_markdown(self) -> str:
        """The table, its sums, and how often each failpoint was hit."""
        rows = [
            (name, n.seeds, n.failed, n.events, n.rows, n.wrong_rows, n.wrong_counts)
            for name, n in sorted(self.lines.items())
        ]
        sums = [sum(int(row[i]) for row in rows) for i in range(1, len(HEAD))]
        hits = Counter(dict.fromkeys(ALL_FAILPOINTS, 0))
        for line in self.lines.values():
            hits.update(line.failpoints)
        told = [f"- {name}: {count}" for name, count in hits.items()] if any(hits.values()) else []
        heading = ["", "Failpoints at which a worker was killed or stopped:", ""] if told else []
        return "\n".join([*_table([*rows, ("all", *sums)]), *heading, *told, ""])

    def as_json(self) -> str:
        """The same for scripts."""
        return orjson.dumps({name: asdict(line) for name, line in sorted(self.lines.items())}).decode()


def _table(rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(HEAD)} |"
    yield f"|---|{'---:|' * (len(HEAD) - 1)}"
    for name, *numbers in rows:
        yield f"| {name} | {' | '.join(f'{n:,}' for n in numbers)} |"
