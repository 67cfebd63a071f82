"""Numbered SQL files, applied once each, in order.

ClickHouse has neither transactions over DDL nor locks, so each statement of a migration can be repeated:
two programs may migrate at once, and one that was interrupted starts its last file again. What was
applied is remembered with a checksum, so that a file can't change behind a database's back.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from sinks.clickhouse import ClickHouseAccess, MissingSchema, Session
from sinks.reference import load_reference, load_streams_table
from sinks.schema import check_schema
from streams.sink import SinkRejected
from streams.spec import StreamSpec

SQL = Path(__file__).parent / "sql"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32, name String, checksum String, applied_at DateTime('Asia/Ho_Chi_Minh') DEFAULT now()
)
ENGINE = ReplacingMergeTree ORDER BY number
"""


class MigrationError(SinkRejected):
    """The files and the database do not fit together; the message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements: each ends with a semicolon at the end of a line."""
        parts = (part.strip() for part in re.split(r";[ \t]*$", self.text, flags=re.MULTILINE))
        return [part for part in parts if _code(part)]


def read_migrations(directory: Path = SQL) -> list[Migration]:
    """All migrations by number. Raises MigrationError for a wrong name, or two files of one number."""
    found: dict[int, Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise MigrationError(f"{path}: name it NNNN_words.sql, with the next free number")
        number = int(match[1])
        if number in found:
            raise MigrationError(
                f"{path.name} and {found[number].name} have one number: renumber one of them"
            )
        found[number] = Migration(number, path.name, path.read_text(encoding="utf-8"))
    return list(found.values())


def migrate(server: ClickHouseAccess, specs: Collection[StreamSpec], directory: Path = SQL) -> list[str]:
    """Bring the database to the newest schema, load the reference tables; the names of the files applied.

    Creates the database when it is not there. Raises MigrationError, SinkUnavailable or SinkRejected.
    """
    migrations = read_migrations(directory)
    _create_database(server)
    with closing(Session(server)) as session:
        session.query("schema_migrations", _TABLE)
        pending = _pending(migrations, _applied(session))
        for migration in pending:
            _apply(session, migration)
        load_reference(session)
        load_streams_table(session, specs)
        check_schema(session, specs, directory)
    return [m.name for m in pending]


def _create_database(server: ClickHouseAccess) -> None:
    """Asks first: a user who may not create databases can still use one that is there."""
    with closing(Session(server)) as session:
        try:
            session.query("schema_migrations", "SELECT 1")
        except MissingSchema:
            with closing(Session(replace(server, database=""))) as anywhere:
                anywhere.query(server.database, f"CREATE DATABASE IF NOT EXISTS `{server.database}`")


def _applied(session: Session) -> dict[int, tuple[str, str]]:
    rows = session.query("schema_migrations", "SELECT number, name, checksum FROM schema_migrations FINAL")
    return {number: (name, checksum) for number, name, checksum in rows}


def _pending(migrations: Iterable[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    """What is still to apply; numbers that only the database knows are from a newer program, and stay."""
    pending = []
    for m in migrations:
        if m.number not in applied:
            pending.append(m)
            continue
        name, checksum = applied[m.number]
        if (name, checksum) != (m.name, m.checksum):
            raise MigrationError(
                f"sinks/sql/{m.name} is not what was applied to this database as {name}:"
                " restore the file, and put the change into a new one with the next number"
            )
    return pending


def _apply(session: Session, migration: Migration) -> None:
    for number, statement in enumerate(migration.statements, 1):
        try:
            session.query(migration.name, statement)
        except SinkRejected as e:
            raise MigrationError(f"sinks/sql/{migration.name}, statement {number}: {e}") from e
    session.insert(
        "schema_migrations",
        ("number", "name", "checksum"),
        [[migration.number], [migration.name], [migration.checksum]],
    )


def _code(statement: str) -> str:
    """A statement without its comments."""
    lines: Sequence[str] = statement.splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
