"""The sink on ClickHouse: settled changes as columns of integers, strings and bytes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain, islice
from typing import Any

from sinks.batches import batches
from sinks.clickhouse import ClickHouseAccess, Session
from sinks.known import PaneKey, known_ids, pane_ids
from sinks.packed import LATE_COLUMNS, inserts, late_blocks, packed_blocks
from streams.core.breaker import Breaker
from streams.core.home import Homes
from streams.core.values import Changes, PaneIds, Progress
from streams.spec import StreamSpec

# rows of which lists are made at once
MAX_LISTED = 50_000

_PROGRESS = tuple(f.name for f in fields(Progress))
_BREAKER = ("stream", "changes", "at", "reason", "past")
_HOMES = tuple(f.name for f in fields(Homes))
_SENDING = ("topic", "partition", "epoch", "next_offset", "version")
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


class ClickHouseSink:
    """A `streams.sink.Sink` on one connection, for one thread."""

    def __init__(self, server: ClickHouseAccess) -> None:
        self._session = Session(server)

    def progress(self, topic: str, partitions: Iterable[int]) -> dict[int, Progress]:
        """The newest progress of each partition that has one."""
        wanted = set(partitions)
        sql = f"SELECT {', '.join(_PROGRESS)} FROM progress FINAL WHERE topic = %(topic)s"  # noqa: S608 names of fields
        found = (Progress(*row) for row in self._session.query("progress", sql, {"topic": topic}))
        return {p.partition: p for p in found if p.partition in wanted}

    def pane_ids(self, topic: str, wanted: Mapping[int, Collection[int]]) -> dict[PaneKey, PaneIds]:
        """Known ids by (partition, window_start_ms); absent means none known."""
        return pane_ids(self._session, topic, wanted)

    def known_ids(self, topic: str, asked: Mapping[PaneKey, Collection[int]]) -> dict[PaneKey, PaneIds]:
        """Of the ids asked for by (partition, window_start_ms) those that are known; absent means none."""
        return known_ids(self._session, topic, asked)

    def put_rows(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write window rows, and the late events' own rows, to the stream's table."""
        names = (*spec.columns, "window_seconds", "partition")
        for group in inserts(changes):
            if blocks := packed_blocks(group):
                self._session.insert_blocks(spec.table, names, blocks)
                continue
            rows = (
                (*row, c.progress.pane_ms // 1000, c.progress.partition)
                for c in group
                for row in chain(c.rows, c.late.rows)
            )
            self._put_lists(spec.table, names, rows, 0)

    def _put_lists(
        self, table: str, names: Sequence[str], rows: Iterator[tuple[Any, ...]], time: int
    ) -> None:
        """Insert rows, of which the column `time` says how they may be cut."""
        # values of Python take ten times what they take packed
        while some := [*islice(rows, MAX_LISTED)]:
            columns = _transposed(some)
            for batch in batches(columns[time]):
                self._session.insert(table, names, _pick(columns, batch))

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
        for group in inserts(changes):
            if blocks := late_blocks(spec, group):
                self._session.insert_blocks("late_events", LATE_COLUMNS, blocks)
                continue
            rows = (
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
                for c in group
                for late in c.late
            )
            self._put_lists("late_events", LATE_COLUMNS, rows, LATE_COLUMNS.index("window_start"))

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

    def put_sending(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write that the strays of these changes are about to be sent home."""
        at = [c.progress for c in changes]
        rows = [(spec.topic, p.partition, p.epoch, p.next_offset, p.version) for p in at]
        if rows:
            self._session.insert("sendings", _SENDING, _transposed(rows))

    def put_progress(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:  # noqa: ARG002 the seam's
        """Write how far each partition has come; after this the changes count as flushed."""
        rows = [(*(getattr(c.progress, name) for name in _PROGRESS), c.progress.version) for c in changes]
        if rows:
            self._session.insert("progress", (*_PROGRESS, "version"), _transposed(rows))

    def homes(self, topic: str) -> list[Homes]:
        """What was decided on homes of this topic's events, in order of `change`; of all topic ids."""
        sql = (
            f"SELECT {', '.join(_HOMES)} FROM homes WHERE topic = %(topic)s"  # noqa: S608 names of fields
            " ORDER BY change, topic_id, decided_at LIMIT 1 BY topic_id, change"
        )
        rows = self._session.query("homes", sql, {"topic": topic})
        return [replace(Homes(*row), offsets=tuple(row[-1])) for row in rows]

    def put_homes(self, homes: Homes) -> None:
        """Store a decision; the server drops it where one of this topic, topic id and change is there."""
        row = tuple(getattr(homes, name) for name in _HOMES)
        token = f"{homes.topic}/{homes.topic_id}/{homes.change}"
        self._session.insert("homes", _HOMES, _transposed([row]), once=token)

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


def _transposed(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
    return [*zip(*rows, strict=True)]


def _pick(columns: Sequence[Sequence[Any]], batch: Sequence[int]) -> list[Sequence[Any]]:
    """The rows of a batch; all of them without a copy."""
    if len(batch) == len(columns[0]):
        return list(columns)
    if isinstance(batch, range):
        return [column[batch.start : batch.stop] for column in columns]
    return [[column[i] for i in batch] for column in columns]
