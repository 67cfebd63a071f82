"""Small tables that are written whole: the city's reference data, and the list of streams."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any
from uuid import uuid4

from schemas import reference
from sinks.clickhouse import Session
from streams.sink import SinkUnavailable
from streams.spec import StreamSpec

TRIES = 20


def load_reference(session: Session) -> None:
    """Bring wards, cameras, procedures, merchants and offices to the packaged tables."""
    for table, rows in reference.tables().items():
        names = [f.name for f in fields(rows[0])]
        replace_rows(session, table, names, [tuple(getattr(row, n) for n in names) for row in rows])


def load_streams_table(session: Session, specs: Collection[StreamSpec]) -> None:
    """Tell the database which streams there are, for the views that cover them all."""
    rows = [(spec.name, spec.topic, spec.table, spec.view) for spec in specs]
    replace_rows(session, "streams", ("name", "topic", "table", "view"), rows)


def replace_rows(session: Session, table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Make these the rows of an unpartitioned table, in one step for its readers; raises SinkUnavailable.

    Two programs that do so at the same moment may both find nothing to replace, and add their rows to each
    other's: so each looks again, and whoever was last sees what both have made.
    """
    quoted, wanted = ", ".join(f"`{n}`" for n in names), sorted(rows)
    for _ in range(TRIES):
        if sorted(session.query(table, f"SELECT {quoted} FROM `{table}`")) == wanted:  # noqa: S608 our own names
            return
        _put_whole(session, table, names, rows)
    raise SinkUnavailable(f"{session.server}, table {table}: others keep writing it; try again")


def _put_whole(session: Session, table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    staging = f"{table}_{uuid4().hex}"
    session.query(table, f"CREATE TABLE `{staging}` AS `{table}`")
    try:
        session.insert(staging, names, [*zip(*rows, strict=True)])
        session.query(table, f"ALTER TABLE `{table}` REPLACE PARTITION tuple() FROM `{staging}`")
    finally:
        session.query(table, f"DROP TABLE `{staging}`")
