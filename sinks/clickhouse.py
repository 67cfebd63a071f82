"""ClickHouse over its native protocol: all that knows clickhouse-driver is here and in `sinks.native_block`.

The driver pings and reconnects before each query, never repeats one, and drops its connection after any
error, so a call after a failure starts afresh. It is not thread-safe: one `Session`, one thread.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from clickhouse_driver import errors as driver

from sinks.codes import NO_SUCH_COLUMN, PASSING, UNKNOWN_DATABASE, UNKNOWN_TABLE, VIOLATED_CONSTRAINT
from sinks.native_block import REVISION, PackedBlock, PackedClient
from streams.core.packed import Packed
from streams.sink import SinkFenced, SinkRejected, SinkUnavailable

# a connection that hangs is given up after at most ping + connect + receive = 28 s; after a time-out the
# next one has twice as long, up to PATIENT times: a slow server has only more to do when asked the same again
PING_S, CONNECT_S, RECEIVE_S, PATIENT = 3, 5, 20, 4
# bytes that must be free for an insert: of one during which the disk became full, the embedded engine of
# version 26.7 has said that all is well, and could not read it
ROOM, KNOWS_ROOM = 32 << 20, (25, 3)

# how the constraints of `sinks.fence` are named, and what it means to be stopped by one
FENCE = "fence_"
FENCED = (
    "rows from before a rehoming are refused, nothing is lost: `songlo topics --rehome` has run since this "
    "worker began, or was interrupted. Start it again; where that does not help, run the rehoming again"
)

_LOST = (
    OSError,
    EOFError,
    driver.NetworkError,
    driver.SocketTimeoutError,
    driver.UnexpectedPacketFromServerError,
    driver.UnknownPacketFromServerError,
    driver.ChecksumDoesntMatchError,
    driver.PartiallyConsumedQueryError,
)


@dataclass(frozen=True, slots=True)
class ClickHouseAccess:
    """Where the windows are: address, user, and the database of all tables ('' is the user's default).

    `receive_s` is the silence after which an answer is given up, in seconds, of the native protocol.
    """

    host: str
    port: int
    database: str = "songlo"
    user: str = "default"
    password: str = field(default="", repr=False)
    secure: bool = False
    receive_s: float = RECEIVE_S

    @classmethod
    def at(cls, address: str, **rest: Any) -> "ClickHouseAccess":
        """Access by `host:port`."""
        host, _, port = address.rpartition(":")
        return cls(host, int(port), **rest)

    def __str__(self) -> str:
        return f"ClickHouse at {self.host}:{self.port}"


class Session:
    """One connection, made when it is first needed and again after an error.

    Every call raises SinkUnavailable or SinkRejected, with the table concerned and the server's message.
    """

    def __init__(self, server: ClickHouseAccess) -> None:
        self.server = server
        # it logs each failed connection with a traceback, of what is raised as SinkUnavailable anyway
        logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)
        self._entered = not server.database
        self._client = PackedClient(
            server.host,
            server.port,
            database="",
            user=server.user,
            password=server.password,
            secure=server.secure,
            client_name="songlo",
            client_revision=REVISION,
            connect_timeout=CONNECT_S,
            send_receive_timeout=server.receive_s,
            sync_request_timeout=PING_S,
            tcp_keepalive=(10, 5, 3),
            # rows of one insert replace none of each other, so looking for such costs a tenth for nothing
            settings={"async_insert": 0, "optimize_on_insert": 0},
            settings_is_important=True,
        )

    def query(
        self,
        about: str,
        sql: str,
        params: dict[str, object] | None = None,
        external: Sequence["External"] = (),
    ) -> list[tuple[Any, ...]]:
        """All rows of a query, or of a statement without any; `about` is the table for error messages."""
        with self._errors(about):
            rows = self._client.execute(sql, params, external_tables=_tables(external))
            return list(rows) if isinstance(rows, list) else []

    def stream(
        self, about: str, sql: str, params: dict[str, object], external: Sequence["External"] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of a query as they come, strings as bytes; read it to the end."""
        tables, settings = _tables(external), {"strings_as_bytes": True, "max_block_size": 64}
        with self._errors(about):
            yield from self._client.execute_iter(sql, params, external_tables=tables, settings=settings)

    def insert(
        self, table: str, names: Sequence[str], columns: Sequence[Sequence[object]], *, once: str = ""
    ) -> None:
        """Insert columns of equal length: times as integers of the column's unit, strings as str or bytes.

        Of inserts with one token `once` the table, if it keeps tokens, takes the first alone.
        """
        settings = {"insert_deduplicate": 1, "insert_deduplication_token": once} if once else None
        with self._errors(table):
            self._client.execute(_insert(table, names), list(columns), columnar=True, settings=settings)

    def insert_blocks(self, table: str, names: Sequence[str], blocks: Sequence[Sequence[Packed]]) -> None:
        """Insert blocks of packed columns; the server makes one part of them, as of one block."""
        with self._errors(table):
            self._client.execute(_insert(table, names), [*map(PackedBlock, blocks)], columnar=True)

    def insert_select(
        self, table: str, wire: dict[str, str], exprs: Sequence[str], columns: Sequence[Sequence[object]]
    ) -> None:
        """Insert columns that travel in other types than they are stored in.

        `wire` is the name and type of each column sent, `exprs` what becomes of it.
        """
        with self._errors(table):
            names = ", ".join(f"`{n}`" for n in wire)
            structure = ", ".join(f"`{n}` {t}" for n, t in wire.items())
            into, select = f"INSERT INTO `{table}` ({names})", f"SELECT {', '.join(exprs)}"
            statement = f"{into} {select} FROM input('{structure}') FORMAT Native"
            self._client.execute(statement, list(columns), columnar=True)

    def close(self) -> None:
        """Leave the server; a later call connects again."""
        self._client.disconnect()
        self._client.connection.database = ""
        self._entered = not self.server.database

    def _enter(self) -> None:
        """Enter the database, once it is known to be there; the driver comes back to it by itself.

        The embedded engine does not survive a client that names an unknown database when it connects.
        """
        if self._entered:
            return
        name = self.server.database
        found = self._client.execute("SELECT 1 FROM system.databases WHERE name = %(name)s", {"name": name})
        if not found:
            raise MissingSchema(f"{self.server}: there is no database {name}; run `songlo migrate`")
        self._client.execute(f"USE `{name}`")
        if self._client.connection.server_info.version_tuple() >= KNOWS_ROOM:
            self._client.settings["min_free_disk_bytes_to_perform_insert"] = ROOM
        # the driver takes the name from the statement as it is written, to say it when it connects again
        self._client.connection.database = name
        self._entered = True

    def _wait_longer(self, timed_out: bool) -> None:
        """How long the next connection waits for an answer."""
        connection, base_s = self._client.connection, self.server.receive_s
        longer_s = min(PATIENT * base_s, 2 * connection.send_receive_timeout)
        connection.send_receive_timeout = longer_s if timed_out else base_s

    @contextmanager
    def _errors(self, about: str) -> Iterator[None]:
        """Turns the driver's errors into the sink's; the next call starts with a new connection."""
        place = f"{self.server}, {self.server.database or 'default'}.{about}"
        try:
            self._enter()
            yield
        except driver.ServerException as e:
            self.close()
            message = str(e.message).split("Stack trace:")[0].strip()
            text = f"{place}: {message} (ClickHouse error {e.code})"
            if e.code in PASSING:
                raise SinkUnavailable(text) from e
            if e.code in (NO_SUCH_COLUMN, UNKNOWN_TABLE, UNKNOWN_DATABASE):
                raise MissingSchema(f"{text}; run `songlo migrate`") from e
            if e.code == VIOLATED_CONSTRAINT and FENCE in message:
                raise SinkFenced(f"{place}: {FENCED}") from e
            raise SinkRejected(text) from e
        except _LOST as e:
            self._wait_longer(isinstance(e, TimeoutError | driver.SocketTimeoutError))
            self.close()
            raise SinkUnavailable(f"{place}: {e or type(e).__name__}") from e
        except (driver.Error, ArithmeticError, LookupError, TypeError, ValueError) as e:
            # values that the column of a table can't take
            self.close()
            raise SinkRejected(f"{place}: {type(e).__name__}: {e}") from e


@dataclass(frozen=True, slots=True)
class External:
    """A temporary table that travels with a query: (column, type) pairs, and rows."""

    name: str
    structure: list[tuple[str, str]]
    rows: Sequence[tuple[object, ...]]


class MissingSchema(SinkRejected):
    """The database, a table or a column is not there."""


def _tables(external: Sequence[External]) -> list[dict[str, object]]:
    return [{"name": e.name, "structure": e.structure, "data": list(e.rows)} for e in external]


def _insert(table: str, names: Sequence[str]) -> str:
    return f"INSERT INTO `{table}` ({', '.join(f'`{n}`' for n in names)}) VALUES"
