"""What ClickHouse holds, row by row, as the oracle would have it."""

from collections import Counter
from typing import Any

from infra.operate.reads import rows
from sinks.clickhouse import ClickHouseAccess
from tests.chaos.log import Place
from tests.chaos.oracle import Counts, Decision, Key
from tests.chaos.readings import READINGS, Reading, Sums, widen

# what an extreme of no value is stored as
NO_VALUE = (-(2**63), 2**63 - 1)


def stored_totals(server: ClickHouseAccess) -> dict[Key, Sums]:
    """The totals of all windows; rows of late events of one window and dimensions are added up."""
    found: dict[Key, Sums] = {}
    for topic, reading in READINGS.items():
        arrays = [f"{name}_{part}" for name in reading.distributions for part in ("buckets", "weights")]
        columns = (*reading.dimensions, *reading.sums, *arrays, *reading.extremes)
        names = ", ".join(
            ("toUnixTimestamp(window_start) AS start", "partition", "late_id", "events", *columns)
        )
        sql = f"SELECT {names} FROM {reading.table} FINAL"  # noqa: S608  # names of our own
        for row in rows(server, sql):
            dimensions = tuple(row[name] for name in reading.dimensions)
            key = Key(topic, row["partition"], row["start"], dimensions, row["late_id"] != 0)
            _add(found.setdefault(key, Sums()), row, reading)
    return found


def stored_counts(server: ClickHouseAccess) -> dict[Place, Counts]:
    """The counters of every partition's progress."""
    names = "folded", "duplicates", "late", "dead", "strays", "away"
    sql = f"SELECT topic, partition, {', '.join(names)} FROM progress FINAL"  # noqa: S608  # names of our own
    return {(r["topic"], r["partition"]): Counts(*(r[name] for name in names)) for r in rows(server, sql)}


def stored_homes(server: ClickHouseAccess) -> dict[str, list[Decision]]:
    """The decisions on the homes of each topic that there is now, in their order."""
    sql = (
        "SELECT topic, topic_id, argMin((partitions, forward, offsets), decided_at) AS decision FROM homes "
        "GROUP BY topic, topic_id, change ORDER BY topic, min(decided_at)"
    )
    found: dict[tuple[str, str], list[Decision]] = {}
    for r in rows(server, sql):
        partitions, forward, offsets = r["decision"]
        decision = Decision(partitions, bool(forward), tuple(offsets))
        found.setdefault((r["topic"], r["topic_id"]), []).append(decision)
    # the last decided is on the topic that there is
    return {topic: decisions for (topic, _), decisions in found.items()}


def stored_positions(server: ClickHouseAccess) -> dict[Place, int]:
    """The next offset of every partition, by its progress."""
    sql = "SELECT topic, partition, next_offset FROM progress FINAL"
    return {(r["topic"], r["partition"]): r["next_offset"] for r in rows(server, sql)}


def stored_dead(server: ClickHouseAccess) -> Counter[tuple[str, int, int, int]]:
    """How often each refused event is there, by topic, partition, offset and index: as a letter, or noted."""
    sql = (
        "SELECT topic, partition, offset, `index` FROM ("
        "SELECT topic, partition, epoch, offset, `index` FROM dead_letters FINAL UNION DISTINCT "
        "SELECT topic, partition, epoch, offset, arrayJoin(indexes) FROM noted FINAL)"
    )
    return Counter((r["topic"], r["partition"], r["offset"], r["index"]) for r in rows(server, sql))


def verdicts(server: ClickHouseAccess) -> dict[Place, str]:
    """What the view `conservation` says of each partition."""
    sql = "SELECT topic, partition, verdict FROM conservation"
    return {(r["topic"], r["partition"]): r["verdict"] for r in rows(server, sql)}


def versions(server: ClickHouseAccess, by_row: bool = True) -> dict[tuple[Any, ...], int]:
    """The version of every stored row and progress; sums of them by window and partition unless `by_row`."""
    found: dict[tuple[Any, ...], int] = {}
    for reading in READINGS.values():
        more = (*reading.dimensions, "late_id") if by_row else ()
        key = f"cityHash64({', '.join(('window_start', 'partition', *more))})"
        sql = (
            f"SELECT {key} AS row, sum(toUInt128(version)) AS version FROM {reading.table} FINAL GROUP BY row"  # noqa: S608  # our own names
        )
        found |= {(reading.table, r["row"]): int(r["version"]) for r in rows(server, sql)}
    sql = "SELECT topic, partition, max(version) AS version FROM progress FINAL GROUP BY topic, partition"
    return found | {(r["topic"], r["partition"]): r["version"] for r in rows(server, sql)}


def _add(to: Sums, row: dict[str, Any], reading: Reading) -> None:
    to.events += int(row["events"])
    for name in reading.sums:
        # 128-bit numbers come as text
        to.sums[name] += int(row[name])
    for name in reading.extremes:
        if (value := int(row[name])) not in NO_VALUE:
            widen(to, name, value)
    for name in reading.distributions:
        values = dict(zip(row[f"{name}_buckets"], row[f"{name}_weights"], strict=True))
        if values:
            to.values.setdefault(name, Counter()).update({int(v): int(n) for v, n in values.items()})
