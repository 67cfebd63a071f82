"""What is known of ids: those of closed panes, and those of late events with where each was met first."""

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from sinks.clickhouse import External, Session
from streams.core.late import Position
from streams.core.values import PaneIds, version_of

# (partition, window_start_ms)
PaneKey = tuple[int, int]
# partition, start in epoch seconds, ids
Asked = tuple[int, int, bytes]

# panes that one query is about; those of which it looks through all ids, as the server holds some of them at
# once; and the bytes of the ids that it asks for, unless a single pane has more
PANES_PER_QUERY, WHOLE_PANES_PER_QUERY, BYTES_PER_QUERY = 2000, 400, 2 << 20

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

# only what is asked for comes back: panes of a busy week hold more ids than a worker has memory; ids travel
# as the bytes of their array both ways, those of a pane in a row
_ASKED = [*_WANTED, ("asked", "String")]
_SELECT_ON_TIME = """
    SELECT partition, toUnixTimestamp(window_start),
        reinterpret(arrayIntersect(ids, reinterpret(asked, 'Array(UInt64)')), 'String')
    FROM pane_ids ANY LEFT JOIN wanted USING (partition, window_start)
    WHERE topic = %(topic)s AND (partition, window_start) IN (SELECT partition, window_start FROM wanted)
"""
_SELECT_FIRST = """
    SELECT partition, toUnixTimestamp(window_start), reinterpret(groupArray(id), 'String'),
        reinterpret(groupArray(toUInt64(first.1)), 'String'), reinterpret(groupArray(first.2), 'String'),
        reinterpret(groupArray(toUInt64(first.3)), 'String')
    FROM (
        SELECT partition, window_start, id, min((epoch, offset, `index`)) AS first
        FROM late_events
        WHERE topic = %(topic)s AND (partition, window_start) IN (SELECT partition, window_start FROM wanted)
            AND (partition, window_start, id) IN (
                SELECT partition, window_start, arrayJoin(reinterpret(asked, 'Array(UInt64)')) FROM wanted
            )
        GROUP BY partition, window_start, id
    )
    GROUP BY partition, window_start
"""


def pane_ids(session: Session, topic: str, wanted: Mapping[int, Collection[int]]) -> dict[PaneKey, PaneIds]:
    """Known ids by (partition, window_start_ms); absent means none known."""
    panes = iter([(p, start_ms // 1000) for p, starts in wanted.items() for start_ms in starts])
    found: dict[PaneKey, PaneIds] = {}
    while some := list(islice(panes, PANES_PER_QUERY)):
        external = [External("wanted", _WANTED, some)]
        on_time = _on_time(session, topic, external)
        late = _first_positions(session, topic, external)
        for key in on_time.keys() | late.keys():
            found[key] = PaneIds(on_time.get(key, ()), late.get(key, {}))
    return found


def known_ids(
    session: Session, topic: str, asked: Mapping[PaneKey, Collection[int]]
) -> dict[PaneKey, PaneIds]:
    """Of the ids asked for by (partition, window_start_ms) those that are known; absent means none."""
    rows = [
        (partition, start_ms // 1000, array("Q", ids).tobytes())
        for (partition, start_ms), ids in asked.items()
    ]
    on_time, late = dict[PaneKey, set[int]](), dict[PaneKey, dict[int, Position]]()
    for some in _questions(rows, WHOLE_PANES_PER_QUERY):
        external = [External("wanted", _ASKED, some)]
        found = session.stream("pane_ids", _SELECT_ON_TIME, {"topic": topic}, external)
        for partition, start, packed in found:
            if packed:
                on_time.setdefault((partition, start * 1000), set()).update(array("Q", packed))
    for some in _questions(rows, PANES_PER_QUERY):
        late |= _packed_positions(session, topic, [External("wanted", _ASKED, some)])
    return {
        key: PaneIds(array("Q", sorted(on_time.get(key, ()))), late.get(key, {}))
        for key in on_time.keys() | late.keys()
    }


def _questions(rows: Sequence[Asked], panes: int) -> Iterator[list[Asked]]:
    """What each of the queries asks for: at most so many panes, and not too many ids."""
    some, size = list[Asked](), 0
    for row in rows:
        if some and (size + len(row[-1]) > BYTES_PER_QUERY or len(some) == panes):
            yield some
            some, size = [], 0
        some.append(row)
        size += len(row[-1])
    if some:
        yield some


def _on_time(session: Session, topic: str, wanted: Sequence[External]) -> dict[PaneKey, "array[int]"]:
    found: dict[PaneKey, array[int]] = {}
    rows = session.stream("pane_ids", _SELECT_IDS, {"topic": topic}, wanted)
    for partition, start, packed in rows:
        key, ids = (partition, start * 1000), array("Q", packed)
        # a pane closes once in each epoch; it is rare that there are two
        found[key] = array("Q", sorted({*found[key], *ids})) if key in found else ids
    return found


def _first_positions(
    session: Session, topic: str, wanted: Sequence[External]
) -> dict[PaneKey, dict[int, Position]]:
    found: dict[PaneKey, dict[int, Position]] = {}
    rows = session.stream("late_events", _SELECT_LATE, {"topic": topic}, wanted)
    for partition, start, late_id, first in rows:
        epoch, offset, index = first
        found.setdefault((partition, start * 1000), {})[late_id] = (version_of(epoch, offset), index)
    return found


def _packed_positions(
    session: Session, topic: str, wanted: Sequence[External]
) -> dict[PaneKey, dict[int, Position]]:
    found: dict[PaneKey, dict[int, Position]] = {}
    rows = session.stream("late_events", _SELECT_FIRST, {"topic": topic}, wanted)
    for partition, start, *packed in rows:
        ids, epochs, offsets, indexes = (array("Q", column) for column in packed)
        versions = map(version_of, epochs, offsets)
        found[partition, start * 1000] = dict(zip(ids, zip(versions, indexes, strict=True), strict=True))
    return found
