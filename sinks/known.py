"""What is known of ids: those of closed panes, and those of late events with where each was met first."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from sinks.clickhouse import External, Session
from streams.core.values import PaneIds, Position, version_of

# (partition, window_start_ms)
PaneKey = tuple[int, int]

# panes whose ids are fetched by one query, and ids that one asks for
PANES_PER_QUERY, IDS_PER_QUERY = 2000, 20_000

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


def pane_ids(session: Session, topic: str, wanted: Mapping[int, Collection[int]]) -> dict[PaneKey, PaneIds]:
    """Known ids by (partition, window_start_ms); absent means none known."""
    panes = iter([(p, start_ms // 1000) for p, starts in wanted.items() for start_ms in starts])
    found: dict[PaneKey, PaneIds] = {}
    while some := list(islice(panes, PANES_PER_QUERY)):
        external = [External("wanted", _WANTED, some)]
        on_time = _on_time(session, topic, external)
        late = _first_positions(session, _SELECT_LATE, topic, external)
        for key in on_time.keys() | late.keys():
            found[key] = PaneIds(on_time.get(key, ()), late.get(key, {}))
    return found


def known_ids(
    session: Session, topic: str, asked: Mapping[PaneKey, Collection[int]]
) -> dict[PaneKey, PaneIds]:
    """Of the ids asked for by (partition, window_start_ms) those that are known; absent means none."""
    ids = iter([(p, start_ms // 1000, each) for (p, start_ms), of in asked.items() for each in of])
    found: dict[PaneKey, PaneIds] = {}
    while some := list(islice(ids, IDS_PER_QUERY)):
        external = [External("wanted", _ASKED, some)]
        on_time: dict[PaneKey, set[int]] = {}
        rows = session.stream("pane_ids", _SELECT_ON_TIME, {"topic": topic}, external)
        for partition, start, each in rows:
            on_time.setdefault((partition, start * 1000), set()).add(each)
        late = _first_positions(session, _SELECT_FIRST, topic, external)
        for key in on_time.keys() | late.keys():
            before = found.get(key, PaneIds())
            merged = sorted(on_time.get(key, set()).union(before.on_time))
            found[key] = PaneIds(array("Q", merged), before.late | late.get(key, {}))
    return found


def _on_time(session: Session, topic: str, wanted: Sequence[External]) -> dict[PaneKey, "array[int]"]:
    found: dict[PaneKey, array[int]] = {}
    rows = session.stream("pane_ids", _SELECT_IDS, {"topic": topic}, wanted)
    for partition, start, packed in rows:
        key, ids = (partition, start * 1000), array("Q", packed)
        # a pane closes once in each epoch; it is rare that there are two
        found[key] = array("Q", sorted({*found[key], *ids})) if key in found else ids
    return found


def _first_positions(
    session: Session, sql: str, topic: str, wanted: Sequence[External]
) -> dict[PaneKey, dict[int, Position]]:
    found: dict[PaneKey, dict[int, Position]] = {}
    rows = session.stream("late_events", sql, {"topic": topic}, wanted)
    for partition, start, late_id, first in rows:
        epoch, offset, index = first
        found.setdefault((partition, start * 1000), {})[late_id] = (version_of(epoch, offset), index)
    return found
