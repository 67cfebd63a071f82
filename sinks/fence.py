"""A fence around a stream's tables on ClickHouse: constraints, so that the server itself refuses what is old.

A worker that was frozen in a flush, and wakes after others have gone on from its progress, does no harm then.
"""

import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from sinks.clickhouse import FENCE, ClickHouseAccess, External, Session
from streams.core.rehoming import CannotRehome, Edge
from streams.core.values import OFFSET_BITS
from streams.spec import StreamSpec

# tables of all streams, in the order in which a flush writes them
SHARED = ("pane_ids", "late_events", "dead_letters", "noted", "sendings", "progress")
# looking through all rows of a stream, and deleting some, may take minutes in which the server says nothing
RECEIVE_S = 900
# how long inserts from before a fence may take to end, and how often they are looked for
PATIENCE_S, LOOK_S = 60.0, 0.2

_INSERTS = """
    SELECT query_id, toUInt32(elapsed), query FROM system.processes
    WHERE query_kind = 'Insert' AND current_database = currentDatabase()
"""
_FENCES = (
    "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name IN %(tables)s"
)
_WINDOWS = """
    SELECT count(), toUnixTimestamp(min(window_start)), toUnixTimestamp(max(window_start)) FROM {}
    WHERE events > 0
"""
_EDGE = [
    ("partition", "UInt16"), ("_low", "UInt16"), ("_high", "UInt16"), ("_at", "UInt64"),
    ("_pane_ms", "UInt32"), ("_watermark_ms", "Int64"),
]  # fmt: skip
# what lies behind an edge; of panes that have closed, and of nothing over late events, are rows of a rebuild
_END = "toInt64(toUnixTimestamp(window_start)) * 1000 + {} > _watermark_ms"
_EPOCH = "{} BETWEEN _low AND _high"
_ROWS = (
    f"{_EPOCH.format(f'bitShiftRight(version, {OFFSET_BITS})')}"
    f" AND bitAnd(version, {(1 << OFFSET_BITS) - 1}) >= _at"
    f" AND if(late_id = 0, {_END.format('window_seconds * 1000')}, events > 0)"
)
_IDS = f"{_EPOCH.format('epoch')} AND {_END.format('_pane_ms')}"
_SENT = f"{_EPOCH.format('epoch')} AND next_offset > _at"
_PLACES = f"{_EPOCH.format('epoch')} AND offset >= _at"


class ClickHouseFence:
    """A `streams.rehome.Fence` of one stream, for one thread."""

    def __init__(
        self,
        access: ClickHouseAccess,
        spec: StreamSpec,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session, self._spec = Session(replace(access, receive_s=RECEIVE_S)), spec
        self._patience_s, self._sleep = patience_s, sleep
        self._name = f"{FENCE}{spec.name}"
        self._tables = (spec.table, *SHARED)

    def height(self) -> int:
        """The epoch below which rows are refused; 0 where there is no fence, the highest of the tables'."""
        fence = re.compile(rf"CONSTRAINT `?{self._name}`? CHECK [^,]*?>= (\d+)")
        found = self._session.query("system.tables", _FENCES, {"tables": self._tables})
        built = [int(m[1]) for (text,) in found if (m := fence.search(text))]
        # that of the windows is a version
        return max((h >> OFFSET_BITS or h for h in built), default=0)

    def refuse_below(self, epoch: int) -> None:
        """Refuse rows of a lower epoch for good, and return when no insert from before is under way."""
        checks = dict.fromkeys(SHARED, f"topic != '{self._spec.topic}' OR epoch >= {epoch}")
        checks[self._spec.table] = f"version >= {epoch << OFFSET_BITS}"
        for table in self._tables:
            # in one statement, so that there is no moment without
            self._session.query(
                table,
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {self._name},"
                f" ADD CONSTRAINT {self._name} CHECK {checks[table]}",
            )
        self._wait_for_inserts()

    def behind(self, edges: Collection[Edge]) -> set[int]:
        """The partitions of which something is stored that lies behind their edge."""
        found = set[int]()
        for table, condition in self._conditions():
            sql = (
                f"SELECT DISTINCT partition FROM {table} INNER JOIN edges USING partition"  # noqa: S608 names of ours
                f" WHERE {self._of_stream(table)} AND {condition}"
            )
            external = [External("edges", _EDGE, [_row(edge) for edge in edges])]
            found |= {p for (p,) in self._session.query(table, sql, {"topic": self._spec.topic}, external)}
        return found

    def forget(self, edge: Edge) -> None:
        """Delete what is stored behind an edge."""
        values = dict(zip((name for name, _ in _EDGE), _row(edge), strict=True))
        for table, condition in self._conditions():
            numbers = re.sub(
                "|".join(n for n in values if n[0] == "_"), lambda m: str(values[m[0]]), condition
            )
            self._session.query(
                table,
                f"ALTER TABLE {table} DELETE WHERE partition = {edge.partition}"
                f" AND {self._of_stream(table)} AND {numbers} SETTINGS mutations_sync = 2",
                {"topic": self._spec.topic},
            )

    def windows(self) -> tuple[int, int] | None:
        """The starts of the first and the last window that hold anything, in epoch milliseconds."""
        rows, first, last = self._session.query(self._spec.table, _WINDOWS.format(self._spec.table))[0]
        return (first * 1000, last * 1000) if rows else None

    def close(self) -> None:
        """Leave the server; the fence stays."""
        self._session.close()

    def _conditions(self) -> Iterator[tuple[str, str]]:
        yield self._spec.table, _ROWS
        yield "pane_ids", _IDS
        yield "sendings", _SENT
        yield from ((table, _PLACES) for table in ("late_events", "dead_letters", "noted"))

    def _of_stream(self, table: str) -> str:
        return "1" if table == self._spec.table else "topic = %(topic)s"

    def _wait_for_inserts(self) -> None:
        """Those that had begun before the fence are not held by it."""
        before, left_s = self._inserts(), self._patience_s
        while under_way := before.keys() & self._inserts().keys():
            if left_s <= 0:
                seconds, text = before[min(under_way)]
                raise CannotRehome(
                    f"{self._spec.topic}: an insert from before does not end, under way for "
                    f"{seconds + self._patience_s:.0f} s: {text[:80]!r}. Its worker may be frozen: end it, "
                    "and run this again"
                )
            self._sleep(LOOK_S)
            left_s -= LOOK_S

    def _inserts(self) -> dict[str, tuple[int, str]]:
        return {q: (seconds, text) for q, seconds, text in self._session.query("system.processes", _INSERTS)}


def _row(edge: Edge) -> tuple[int, ...]:
    return (edge.partition, *edge.epochs, edge.offset, edge.pane_ms, edge.watermark_ms)
