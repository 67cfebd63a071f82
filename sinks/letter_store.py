"""Dead letters on ClickHouse."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sinks.clickhouse import ClickHouseAccess, Session
from sinks.letters import Action, Group, Letter, NotedMessage, Place, Selection
from streams.core.shapes import NUMBER, NUMBERS, QUOTED, QUOTES

_PLACE = ("topic", "partition", "offset", "`index`", "epoch")
_COLUMNS = (
    *_PLACE, "stream", "toUnixTimestamp64Milli(append_time)", "field", "reason", "raw", "state",
    "if(state = 'open', 0, toUnixTimestamp64Milli(acted_at))", "note", "sent", "sent_partition",
)  # fmt: skip
_ACTION = ("topic", "partition", "epoch", "offset", "index", "at", "state", "note", "sent", "sent_partition")
_NOTED = (
    "topic", "partition", "offset", "epoch", "stream", "toUnixTimestamp64Milli(append_time)", "source",
    "indexes", "fetched",
)  # fmt: skip
_NOTED_BY = ("stream", "topic", "since", "until", "messages")
_SHAPE = "replaceRegexpAll(replaceRegexpAll(reason, %(quoted)s, %(quotes)s), %(number)s, %(numbers)s)"
_ORDER = "append_time, topic, partition, offset, `index`, epoch"


class ClickHouseLetters:
    """`Letters` on two connections: one reads while the other writes."""

    def __init__(self, server: ClickHouseAccess) -> None:
        self._reads, self._writes = Session(server), Session(server)

    def count(self, selection: Selection) -> int:
        """How many there are."""
        where, params = _where(selection)
        sql = f"SELECT count() FROM dead_letter_states WHERE {where}"  # noqa: S608 - made here, values apart
        return int(self._reads.query("dead_letter_states", sql, params)[0][0])

    def find(self, selection: Selection, limit: int | None = None) -> Iterator[Letter]:
        """The letters, in no order; with a limit the oldest, the oldest first."""
        # sorting them all would hold them all
        return self._select(selection, "" if limit is None else f"ORDER BY {_ORDER} LIMIT {limit:d}")

    def newest(self, selection: Selection, limit: int) -> list[Letter]:
        """The newest letters, the newest first."""
        order = ", ".join(f"{column} DESC" for column in _ORDER.split(", "))
        return list(self._select(selection, f"ORDER BY {order} LIMIT {limit:d}"))

    def groups(self, selection: Selection, limit: int) -> list[Group]:
        """The largest groups by reason, the largest first."""
        where, params = _where(selection)
        newest = f"argMax(tuple({', '.join(_PLACE)}), (append_time, {', '.join(_PLACE)}))"
        times = "toUnixTimestamp64Milli(min(append_time)), toUnixTimestamp64Milli(max(append_time))"
        sql = (
            f"SELECT stream, field, {_SHAPE} AS shape, count() AS letters, {times}, {newest} "  # noqa: S608 - as above
            f"FROM dead_letter_states WHERE {where} "
            "GROUP BY stream, field, shape ORDER BY letters DESC, stream, field, shape LIMIT %(limit)s"
        )
        patterns = {"quoted": QUOTED, "quotes": QUOTES, "number": NUMBER, "numbers": NUMBERS, "limit": limit}
        rows = self._reads.query("dead_letter_states", sql, {**params, **patterns})
        return [
            Group(stream, field, reason, letters, first, last, Place(*example))
            for stream, field, reason, letters, first, last, example in rows
        ]

    def count_noted(self, selection: Selection) -> int:
        """How many events are only noted."""
        where, params = _where(selection, _NOTED_BY)
        count = "sum(length(indexes) - length(fetched))"
        sql = f"SELECT {count} FROM noted_states WHERE {where}"  # noqa: S608 - as above
        return int(self._reads.query("noted_states", sql, params)[0][0])

    def noted(self, selection: Selection) -> Iterator[NotedMessage]:
        """What is only noted."""
        where, params = _where(selection, _NOTED_BY)
        sql = (
            f"SELECT {', '.join(_NOTED)} FROM noted_states "  # noqa: S608 - as above
            f"WHERE {where} AND length(indexes) > length(fetched) ORDER BY topic, partition, epoch, offset"
        )
        for row in self._reads.stream("noted_states", sql, params):
            topic, partition, offset, epoch, stream, append_ms, source, indexes, fetched = row
            place = Place(topic.decode(), partition, offset, epoch=epoch)
            left = frozenset(indexes).difference(fetched)
            yield NotedMessage(place, stream.decode(), append_ms, source.decode(errors="replace"), left)

    def mark(self, actions: Sequence[Action]) -> None:
        """Write actions."""
        rows = [
            (
                a.place.topic, a.place.partition, a.place.epoch, a.place.offset, a.place.index,
                a.at_ms, a.state, a.note.encode(errors="replace"), a.sent, a.sent_partition,
            )
            for a in actions
        ]  # fmt: skip
        if rows:
            self._writes.insert("dead_letter_actions", _ACTION, [*zip(*rows, strict=True)])

    def close(self) -> None:
        """Leave the server."""
        self._reads.close()
        self._writes.close()

    def _select(self, selection: Selection, order: str) -> Iterator[Letter]:
        where, params = _where(selection)
        sql = f"SELECT {', '.join(_COLUMNS)} FROM dead_letter_states WHERE {where} {order}"  # noqa: S608 - as above
        for row in self._reads.stream("dead_letter_states", sql, params):
            yield _letter(row)


def _where(selection: Selection, by: Collection[str] = ()) -> tuple[str, dict[str, Any]]:
    """The condition, with the names of its parameters, and these; of all or only what is selected `by`."""
    s = selection
    wanted = {
        "stream": (s.stream, "stream = %(stream)s"),
        "topic": (s.topic, "topic = %(topic)s"),
        "field": (s.field, "field = %(field)s"),
        "reason": (s.reason, "positionCaseInsensitiveUTF8(reason, %(reason)s) > 0"),
        "since": (s.since_ms, "append_time >= fromUnixTimestamp64Milli(%(since)s)"),
        "until": (s.until_ms, "append_time < fromUnixTimestamp64Milli(%(until)s)"),
        "states": (tuple(s.states), "state IN %(states)s"),
        "messages": (tuple(s.messages), "(topic, partition, offset) IN %(messages)s"),
    }
    given = {
        name: part
        for name, part in wanted.items()
        if part[0] not in (None, "", ()) and (not by or name in by)
    }
    condition = " AND ".join(sql for _, sql in given.values()) or "1"
    return condition, {name: value for name, (value, _) in given.items()}


def _letter(row: Sequence[Any]) -> Letter:
    """A row with its texts as bytes."""
    (
        topic,
        partition,
        offset,
        index,
        epoch,
        stream,
        append_ms,
        field,
        reason,
        raw,
        state,
        acted_ms,
        note,
        sent,
        to,
    ) = row
    return Letter(
        Place(topic.decode(), partition, offset, index, epoch),
        stream.decode(),
        append_ms,
        field.decode(),
        reason.decode(errors="replace"),
        raw,
        state.decode(),
        acted_ms,
        note.decode(errors="replace"),
        sent,
        to,
    )
