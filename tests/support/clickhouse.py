"""Databases of their own for tests, on an engine that all share, and rows to put into them."""

from contextlib import closing
from typing import Any, Protocol
from uuid import uuid4

from sinks.clickhouse import ClickHouseAccess, Session
from sinks.migrate import migrate
from streams.core.late import LateEvent, LateEvents
from streams.core.rows import Row, Rows
from streams.core.values import (
    Changes,
    ClosedPane,
    DeadLetter,
    Noted,
    Progress,
    StrayMessage,
    version_of,
)
from streams.registry import load_streams
from streams.spec import StreamSpec

# 2024-05-13T08:00:00Z, a round hour
T0_S = 1_715_587_200


class HasClickHouse(Protocol):
    """Where the engine is, host:port."""

    @property
    def clickhouse(self) -> str: ...


def new_database(stack: HasClickHouse) -> ClickHouseAccess:
    """A migrated database that no other test uses."""
    server = ClickHouseAccess.at(stack.clickhouse, database=f"test_{uuid4().hex[:12]}")
    migrate(server, load_streams().values())
    return server


def ask(server: ClickHouseAccess, sql: str) -> list[tuple[Any, ...]]:
    """The rows of one query, on a connection of its own."""
    with closing(Session(server)) as session:
        return session.query("a test", sql)


def camera_row(
    at_s: int = 0,
    *,
    offset: int = 0,
    events: int = 1,
    camera_id: str = "cam-1",
    late_id: int = 0,
    speeds: dict[int, int] | None = None,
    epoch: int = 0,
) -> Row:
    """A row of camera_windows, `at_s` seconds after T0; `speeds` is a histogram in thousandths of km/h."""
    histogram = speeds or {}
    return (
        T0_S + at_s,
        *(camera_id, "02200", "vehicle", "car", "", "N"),
        late_id,
        version_of(epoch, offset),
        events,
        events * 2,
        sum(histogram.values()),
        sum(value * n for value, n in histogram.items()),
        max(histogram, default=0),
        sorted(histogram),
        [histogram[value] for value in sorted(histogram)],
    )


def qr_row(at_s: int, *, offset: int, amount_vnd: int, succeeded: int = 1) -> Row:
    """A row of qr_windows: one report."""
    dimensions = ("shop-1", "market", "02200", "VCB")
    extremes = (min(amount_vnd, 2**63 - 1),) * 2
    return (T0_S + at_s, *dimensions, 0, offset, 1, succeeded, 0, amount_vnd, *extremes)


def late(event_id: int, at_s: int = 0, *, offset: int, index: int = 0, events: int = 1) -> LateEvent:
    """A late camera event of the pane `at_s` seconds after T0."""
    row = camera_row(at_s, offset=offset, events=events, late_id=event_id)
    start_ms = (T0_S + at_s) * 1000
    return LateEvent(start_ms, event_id, f"event-{event_id}", start_ms, start_ms + 1, (offset, index), row)


def changes(
    spec: StreamSpec,
    partition: int = 0,
    *,
    rows: list[Row] | None = None,
    closed: list[ClosedPane] | None = None,
    late: list[LateEvent] | None = None,
    dead: list[DeadLetter] | None = None,
    noted: list[Noted] | None = None,
    sent: list[StrayMessage] | None = None,
    **progress: int,
) -> Changes:
    """What one partition has to flush; its progress counts the late events and dead letters given."""
    counted = {"late": len(late or []), "dead": len(dead or []), **progress}
    at = Progress(spec.name, spec.topic, partition, **counted)
    events = LateEvents.of(late or [])
    return Changes(at, Rows.of(rows or []), closed or [], events, dead or [], noted or [], sent or [])
