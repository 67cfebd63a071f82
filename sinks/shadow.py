"""A rebuild's shadow on ClickHouse: a table like the stream's, filled apart, compared and attached there."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any
from uuid import uuid4

from sinks.clickhouse import ClickHouseAccess, Session
from sinks.store import ClickHouseSink
from streams.core.late import LateEvents
from streams.core.parts import Part
from streams.core.rebuild import Correction, Span, Stored
from streams.core.rows import Row, Rows
from streams.core.values import Changes, Progress
from streams.measures import Measure
from streams.shadow import Comparison, Difference
from streams.sink import SinkError
from streams.spec import StreamSpec

# rows that travel at once
PUT_ROWS = 50_000
# merging a shadow's parts may take minutes, in which the server says nothing
RECEIVE_S = 900
# a shadow that was left behind, by a rebuild that was killed, is dropped by one that comes so much later
LEFT_HOURS = 24

_LEFT = """
    SELECT name FROM system.tables
    WHERE database = currentDatabase() AND startsWith(name, %(prefix)s)
        AND metadata_modification_time < now() - INTERVAL %(hours)s HOUR
"""
_CORRECTIONS = """
    SELECT toUnixTimestamp(window_start), events FROM corrections FINAL
    WHERE topic = %(topic)s AND partition = %(partition)s
        AND window_start >= toDateTime(%(start)s) AND window_start < toDateTime(%(end)s)
"""
_CORRECTED = ("topic", "partition", "window_start", "version", "events")


class ClickHouseShadow:
    """A `streams.shadow.Shadow` for one thread; `span` in panes of `pane_ms`."""

    def __init__(self, server: ClickHouseAccess, spec: StreamSpec, pane_ms: int, span: Span) -> None:
        self._session, self._sink = Session(replace(server, receive_s=RECEIVE_S)), ClickHouseSink(server)
        self._spec, self._pane_ms, self._span = spec, pane_ms, span
        prefix = f"{spec.table}_shadow_"
        for (left,) in self._session.query(spec.table, _LEFT, {"prefix": prefix, "hours": LEFT_HOURS}):
            self._session.query(left, f"DROP TABLE IF EXISTS `{left}`")
        self._made = f"{prefix}{uuid4().hex[:12]}"
        self._swap = f"{self._made}_swap"
        self._session.query(self._made, f"CREATE TABLE {self._made} AS {spec.table}")
        self._progress: list[Progress] = []
        self._corrections: list[tuple[Progress, Correction]] = []

    def stored(self, partition: int) -> list[Stored]:
        """The rows of the span as they are in the stream's table."""
        dimensions = ", ".join(self._spec.dimensions)
        sql = (
            f"SELECT toUnixTimestamp(window_start), {dimensions}, late_id, version, events"  # noqa: S608 names of ours
            f" FROM {self._spec.table} FINAL WHERE {self._spanned()} AND partition = {partition}"
            " SETTINGS do_not_merge_across_partitions_select_final = 1"
        )
        return [Stored(row[:-2], *row[-2:]) for row in self._session.query(self._spec.table, sql)]

    def corrections(self, partition: int) -> dict[int, int]:
        """Earlier corrections in the span, by window_start_ms."""
        place = {"topic": self._spec.topic, "partition": partition}
        times = {"start": self._span.start_ms // 1000, "end": self._span.end_ms // 1000}
        found = self._session.query("corrections", _CORRECTIONS, place | times)
        return {start * 1000: events for start, events in found}

    def put(self, progress: Progress, rows: Iterable[Row], corrections: Sequence[Correction]) -> None:
        """Take one partition's rows and corrections."""
        self._progress.append(progress)
        self._corrections += [(progress, correction) for correction in corrections]
        shadow, rest = replace(self._spec, table=self._made), iter(rows)
        while some := list(islice(rest, PUT_ROWS)):
            self._sink.put_rows(shadow, [Changes(progress, Rows.of(some), [], LateEvents(), [])])

    def compare(self, limit: int) -> Comparison:
        """What the stream's view shows, of the log up to where the rebuild ends, against what was put."""
        totals = f"""
            SELECT uniqExact(_start), count(), sum(_now), sum(_late), uniqExactIf(_start, _kind != ''),
                countIf(_kind = 'missing'), countIf(_kind = 'surplus'), countIf(_kind = 'different')
            FROM ({self._rows()})
        """  # noqa: S608 as above
        counts = self._session.query(self._made, totals)[0]
        order = ", ".join(("_start", *self._spec.dimensions))
        shown = f"SELECT * FROM ({self._rows()}) WHERE _kind != '' ORDER BY {order} LIMIT {limit}"  # noqa: S608 as above
        found = (_difference(row) for row in self._session.query(self._made, shown))
        return replace(Comparison(*counts), shown=tuple(found))

    def correct(self) -> None:
        """Write the corrections."""
        rows = [
            (self._spec.topic, p.partition, c.window_start_ms // 1000, p.version, c.events)
            for p, c in self._corrections
        ]
        if rows:
            self._session.insert("corrections", _CORRECTED, [*zip(*rows, strict=True)])

    def swap_in(self) -> None:
        """Put what differs into the stream's table: a month of windows at once.

        The parts of a month are made one first, so that it is attached as a whole or not at all, even when
        the server is killed; and that one is on disk before, as what it replaces is.
        """
        query, swap = self._session.query, self._swap
        query(swap, f"CREATE TABLE {swap} AS {self._spec.table}")
        query(swap, f"ALTER TABLE {swap} MODIFY SETTING min_rows_to_fsync_after_merge = 1")
        wrong = f"SELECT _start FROM ({self._rows()}) WHERE _kind != ''"  # noqa: S608 as above
        emptied = f"SELECT toUnixTimestamp(window_start) FROM {self._made} WHERE events = 0"  # noqa: S608 as above
        query(
            swap,
            f"INSERT INTO {swap} SELECT * FROM {self._made}"  # noqa: S608 as above
            f" WHERE toUnixTimestamp(window_start) IN ({wrong} UNION ALL {emptied})"
            " SETTINGS max_partitions_per_insert_block = 0",
        )
        query(swap, f"OPTIMIZE TABLE {swap} FINAL")
        months = query(
            swap,
            "SELECT DISTINCT partition_id FROM system.parts WHERE active AND database = currentDatabase()"
            " AND table = %(table)s ORDER BY partition_id",
            {"table": swap},
        )
        for (month,) in months:
            query(
                self._spec.table, f"ALTER TABLE {self._spec.table} ATTACH PARTITION ID '{month}' FROM {swap}"
            )

    def close(self) -> None:
        """Leave nothing behind, as far as the server can be reached."""
        with suppress(SinkError):
            for table in (self._made, self._swap):
                self._session.query(table, f"DROP TABLE IF EXISTS {table}")
        self._session.close()
        self._sink.close()

    def _spanned(self) -> str:
        start, end = self._span.start_ms // 1000, self._span.end_ms // 1000
        times = f"window_start >= toDateTime({start}) AND window_start < toDateTime({end})"
        return f"{times} AND window_seconds = {self._pane_ms // 1000}"

    def _rows(self) -> str:
        """The view's rows of the span, each with what it shows, what the log says, and how they differ.

        Rows from behind the rebuild's end are left out: both sides are of one stretch of the log, and of
        windows that it has closed. Names with an underscore can't be those of a dimension.
        """
        spec = self._spec
        partitions = [p.partition for p in self._progress]
        versions = ", ".join(f"toUInt64({p.version})" for p in self._progress)
        closed = [(p.watermark_ms - self._pane_ms) // 1000 for p in self._progress]
        # as `streams.core.rebuild.is_replaced` has it
        seen = (
            f"version < transform(partition, {partitions}, [{versions}], toUInt64(0)) + (late_id = 0)"
            f" AND toUnixTimestamp(window_start) <= transform(partition, {partitions}, {closed}, -1)"
        )
        keys = ", ".join(("_start", *spec.dimensions))
        names = (*spec.dimensions, "late_id", "events", *(c for part in spec.parts for c in part.columns))
        columns = ", ".join(("toUnixTimestamp(window_start) AS _start", *names))
        differing = ", ".join(["''", *(_differs(m) for m in spec.measures)])
        return f"""
            SELECT {keys},
                sumIf(t.events, _side = 'now') AS _now,
                sumIf(t.events, _side = 'log') AS _log,
                sumIf(t.events, _side = 'now' AND t.late_id != 0) AS _late,
                arrayFilter(name -> name != '', [{differing}]) AS _wrong,
                multiIf(_now = _log AND empty(_wrong), '', _now = 0, 'missing', _log = 0, 'surplus',
                    'different') AS _kind
            FROM
            (
                SELECT 'now' AS _side, {columns} FROM {spec.table} FINAL
                WHERE {self._spanned()} AND {seen}
                UNION ALL
                SELECT 'log' AS _side, {columns} FROM {self._made} FINAL
            ) AS t
            WHERE t.events > 0
            GROUP BY {keys}
            SETTINGS do_not_merge_across_partitions_select_final = 1
        """  # noqa: S608 as above


def _differs(measure: Measure) -> str:
    """The measure's name where the two sides differ in it, else ''."""
    now, log = (
        "({})".format(", ".join(_merged(part, f"_side = '{side}'") for part in measure.parts))
        for side in ("now", "log")
    )
    return f"if({now} != {log}, '{measure.name}', '')"


def _merged(part: Part, when: str) -> str:
    """What a part holds of all the rows that meet a condition."""
    return f"{part.form.aggregate}If({', '.join(f't.{column}' for column in part.columns)}, {when})"


def _difference(row: tuple[Any, ...]) -> Difference:
    start, *dimensions, now, log, _, columns, kind = row
    return Difference(kind, start * 1000, tuple(dimensions), now, log, tuple(columns))
