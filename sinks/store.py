"""The sink on ClickHouse: settled changes as columns of integers, strings and bytes."""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import chain, islice
from typing import Any

from sinks.batches import batches
from sinks.clickhouse import RECEIVE_S, External, Server, Session
from sinks.packed import inserts, packed_blocks
from streams.core.breaker import Breaker
from streams.core.values import Changes, PaneIds, Position, Progress, version_of
from streams.spec import StreamSpec

# (partition, window_start_ms)
PaneKey = tuple[int, int]

# rows of which lists are made at once; panes whose ids are fetched by one query, and ids that one asks for
MAX_LISTED = 50_000
PANES_PER_QUERY, IDS_PER_QUERY = 2000, 20_000

_PROGRESS = tuple(f.name for f in fields(Progress))
_LATE = (
    "stream", "topic", "partition", "window_start", "id", "event_id", "occurred_at", "append_time", "epoch",
    "offset", "index",
)  # fmt: skip
_BREAKER = ("stream", "changes", "at", "reason", "past")
_NOTED = ("stream", "topic", "partition", "epoch", "offset", "append_time", "source", "indexes")
_DEAD = (
    "stream", "topic", "partition", "epoch", "offset", "index", "append_time", "field", "reason", "raw",
)  # fmt: skip

# ids travel as the bytes of their array: twenty times faster than integer by integer
_IDS_WIRE = {
    "topic": "String",
    "partition": "UInt16",
    "window_start": "UInt32",
    "epoch": "UInt16",
    "ids": "String",
}
_IDS_STORED = ("topic", "partition", "window_start", "epoch", "reinterpret(ids, 'Array(UInt64)')")

# the wanted panes travel as a table: thousands of them would not fit into the text of a query
_WANTED = [("partition", "UInt16"), ("window_start", "DateTime('Asia/Ho_Chi_Minh')")]
_SELECT_IDS = """
    SELECT partition, toUnixTimestamp(window_start), reinterpret(ids, 'String')
    FROM pane_ids
    WHERE topic = %(topic)s AND (partition, window_start) IN wanted
    LIMIT 1 BY partition, window_start, epoch
"""
_SELECT_LATE = """
    SELECT partition, toUnixTimestamp(window_start), id, min((epoch, offset, `index`)) AS first
    FROM late_events
    WHERE topic = %(topic)s AND (partition, window_start) IN wanted
    GROUP BY partition, window_start, id
"""

# only what is asked for comes back: panes of a busy week hold more ids than a worker has memory
_ASKED = [*_WANTED, ("id", "UInt64")]
_SELECT_ON_TIME = """
    SELECT DISTINCT partition, toUnixTimestamp(window_start), id
    FROM pane_ids ARRAY JOIN ids AS id
    WHERE topic = %(topic)s AND (partition, window_start) IN (SELECT partition, window_start FROM wanted)
        AND (partition, window_start, id) IN wanted
"""
_SELECT_FIRST = """
    SELECT partition, toUnixTimestamp(window_start), id, min((epoch, offset, `index`)) AS first
    FROM late_events
    WHERE topic = %(topic)s AND (partition, window_start, id) IN wanted
    GROUP BY partition, window_start, id
"""


class ClickHouseSink:
    """A `streams.sink.Sink` on one connection, for one thread."""

    def __init__(self, server: Server, receive_s: float = RECEIVE_S) -> None:
        self._session = Session(server, receive_s)

    def progress(self, topic: str, partitions: Iterable[int]) -> dict[int, Progress]:
        """The newest progress of each partition that has one."""
        wanted = set(partitions)
        sql = f"SELECT {', '.join(_PROGRESS)} FROM progress FINAL WHERE topic = %(topic)s"  # noqa: S608 names of fields
        found = (Progress(*row) for row in self._session.query("progress", sql, {"topic": topic}))
        return {p.partition: p for p in found if p.partition in wanted}

    def pane_ids(self, topic: str, wanted: Mapping[int, Collection[int]]) -> dict[PaneKey, PaneIds]:
        """Known ids by (partition, window_start_ms); absent means none known."""
        panes = iter([(p, start_ms // 1000) for p, starts in wanted.items() for start_ms in starts])
        found: dict[PaneKey, PaneIds] = {}
        while some := list(islice(panes, PANES_PER_QUERY)):
            external = [External("wanted", _WANTED, some)]
            on_time = self._on_time(topic, external)
            late = self._first_positions(_SELECT_LATE, topic, external)
            for key in on_time.keys() | late.keys():
                found[key] = PaneIds(on_time.get(key, ()), late.get(key, {}))
        return found

    def known_ids(self, topic: str, asked: Mapping[PaneKey, Collection[int]]) -> dict[PaneKey, PaneIds]:
        """Of the ids asked for by (partition, window_start_ms) those that are known; absent means none."""
        ids = iter([(p, start_ms // 1000, each) for (p, start_ms), of in asked.items() for each in of])
        found: dict[PaneKey, PaneIds] = {}
        while some := list(islice(ids, IDS_PER_QUERY)):
            external = [External("wanted", _ASKED, some)]
            on_time: dict[PaneKey, set[int]] = {}
            rows = self._session.stream("pane_ids", _SELECT_ON_TIME, {"topic": topic}, external)
            for partition, start, each in rows:
                on_time.setdefault((partition, start * 1000), set()).add(each)
            late = self._first_positions(_SELECT_FIRST, topic, external)
            for key in on_time.keys() | late.keys():
                before = found.get(key, PaneIds())
                merged = sorted(on_time.get(key, set()).union(before.on_time))
                found[key] = PaneIds(array("Q", merged), before.late | late.get(key, {}))
        return found

    def put_rows(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write window rows, and the late events' own rows, to the stream's table."""
        names = (*spec.columns, "window_seconds", "partition")
        for group in inserts(changes):
            if blocks := packed_blocks(group):
                self._session.insert_blocks(spec.table, names, blocks)
            else:
                self._put_lists(spec, names, group)

    def _put_lists(self, spec: StreamSpec, names: Sequence[str], changes: Sequence[Changes]) -> None:
        rows = (
            (*row, c.progress.pane_ms // 1000, c.progress.partition)
            for c in changes
            for row in chain(c.rows, (late.row for late in c.late))
        )
        # values of Python take ten times what they take packed
        while some := [*islice(rows, MAX_LISTED)]:
            columns = _transposed(some)
            for batch in batches(columns[0]):
                self._session.insert(spec.table, names, _pick(columns, batch))

    def put_ids(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write the ids of closed panes."""
        rows = [
            (
                spec.topic,
                c.progress.partition,
                pane.window_start_ms // 1000,
                c.progress.epoch,
                pane.ids,
            )
            for c in changes
            for pane in c.closed
        ]
        # all are written now, so they go to one day's partition whatever their panes
        for batch in batches([0] * len(rows), [8 * len(row[-1]) for row in rows]):
            *columns, ids = _pick(_transposed(rows), batch)
            # of one insert at a time, since they are as many bytes again
            columns.append([each.tobytes() for each in ids])
            self._session.insert_select("pane_ids", _IDS_WIRE, _IDS_STORED, columns)

    def put_late(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Register late events, so that their duplicates are found."""
        rows = [
            (
                spec.name,
                spec.topic,
                c.progress.partition,
                late.window_start_ms // 1000,
                late.id,
                late.event_id,
                late.occurred_ms,
                late.append_ms,
                c.progress.epoch,
                *late.position,
            )
            for c in changes
            for late in c.late
        ]
        for batch in batches([row[3] for row in rows]):
            self._session.insert("late_events", _LATE, _pick(_transposed(rows), batch))

    def put_dead(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write dead letters, with their bytes as they came."""
        rows = [
            (
                spec.name,
                spec.topic,
                c.progress.partition,
                c.progress.epoch,
                d.offset,
                d.index,
                d.append_ms,
                d.field,
                # a reason may quote what was refused: text that is no valid Unicode must not stop the stream
                d.reason.encode(errors="replace"),
                d.raw,
            )
            for c in changes
            for d in c.dead
        ]
        for batch in batches([row[6] // 1000 for row in rows], [len(row[-1]) for row in rows]):
            self._session.insert("dead_letters", _DEAD, _pick(_transposed(rows), batch))

    def put_noted(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write the places of refused events that are only noted."""
        rows = [
            (
                spec.name,
                spec.topic,
                c.progress.partition,
                c.progress.epoch,
                n.offset,
                n.append_ms,
                n.source,
                n.indexes,
            )
            for c in changes
            for n in c.noted
        ]
        for batch in batches([row[5] // 1000 for row in rows], [4 * len(row[-1]) for row in rows]):
            self._session.insert("noted", _NOTED, _pick(_transposed(rows), batch))

    def put_progress(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:  # noqa: ARG002 the seam's
        """Write how far each partition has come; after this the changes count as flushed."""
        rows = [(*(getattr(c.progress, name) for name in _PROGRESS), c.progress.version) for c in changes]
        if rows:
            self._session.insert("progress", (*_PROGRESS, "version"), _transposed(rows))

    def breakers(self) -> dict[str, Breaker]:
        """The switch of each stream that was ever paused."""
        sql = "SELECT stream, changes, toUnixTimestamp64Milli(at), reason, past FROM breakers FINAL"
        return {row[0]: Breaker(*row) for row in self._session.query("breakers", sql)}

    def put_breaker(self, breaker: Breaker) -> None:
        """Write a switch; the highest number of changes wins."""
        row = (breaker.stream, breaker.changes, breaker.at_ms, breaker.reason, dict(breaker.past))
        self._session.insert("breakers", _BREAKER, _transposed([row]))

    def close(self) -> None:
        """Leave the server."""
        self._session.close()

    def _on_time(self, topic: str, wanted: Sequence[External]) -> dict[PaneKey, "array[int]"]:
        found: dict[PaneKey, array[int]] = {}
        rows = self._session.stream("pane_ids", _SELECT_IDS, {"topic": topic}, wanted)
        for partition, start, packed in rows:
            key, ids = (partition, start * 1000), array("Q", packed)
            # a pane closes once in each epoch; it is rare that there are two
            found[key] = array("Q", sorted({*found[key], *ids})) if key in found else ids
        return found

    def _first_positions(
        self, sql: str, topic: str, wanted: Sequence[External]
    ) -> dict[PaneKey, dict[int, Position]]:
        found: dict[PaneKey, dict[int, Position]] = {}
        rows = self._session.stream("late_events", sql, {"topic": topic}, wanted)
        for partition, start, late_id, first in rows:
            epoch, offset, index = first
            found.setdefault((partition, start * 1000), {})[late_id] = (version_of(epoch, offset), index)
        return found


def _transposed(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
    return [*zip(*rows, strict=True)]


def _pick(columns: Sequence[Sequence[Any]], batch: Sequence[int]) -> list[Sequence[Any]]:
    """The rows of a batch; all of them without a copy."""
    if len(batch) == len(columns[0]):
        return list(columns)
    if isinstance(batch, range):
        return [column[batch.start : batch.stop] for column in columns]
    return [[column[i] for i in batch] for column in columns]
