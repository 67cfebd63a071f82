"""Reading by HTTP in any of ClickHouse's formats, as the server writes it, without holding the answer."""

import http.client
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import urlencode
from uuid import uuid4

from sinks.clickhouse import ClickHouseAccess
from sinks.codes import PASSING
from streams.sink import SinkError, SinkRejected, SinkUnavailable

CHUNK = 65_536
# a server that fails in the middle of an answer says so in its last bytes, at most so many
_TAIL = 32_768
_MARK = b"\r\n__exception__\r\n"
_CODE = re.compile(r"Code: (\d+)\.")
# a long query shows no progress by HTTP
TIMEOUT_S, KILL_S = 600, 2


def stream_query(server: ClickHouseAccess, sql: str, output_format: str = "PrettyCompact") -> Iterator[bytes]:
    """The answer as bytes, piece by piece; `server.port` is that of HTTP.

    `output_format` is one of ClickHouse's names, used unless the query has a FORMAT of its own. Raises
    SinkRejected with the server's message, also in the middle of an answer; SinkUnavailable when it is away.
    A query that is left before its end is stopped on the server too.
    """
    query_id = uuid4().hex
    try:
        with closing(_connect(server)) as connection:
            parameters = {"database": server.database, "default_format": output_format, "query_id": query_id}
            yield from _pieces(server, _ask(server, connection, sql, parameters))
    except (OSError, http.client.HTTPException) as e:
        raise SinkUnavailable(f"{server}: {e or type(e).__name__}") from e
    except (GeneratorExit, KeyboardInterrupt):
        _kill(server, query_id)
        raise


def _connect(server: ClickHouseAccess, timeout_s: float = TIMEOUT_S) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if server.secure else http.client.HTTPConnection
    return kind(server.host, server.port, timeout=timeout_s)


def _ask(
    server: ClickHouseAccess, connection: http.client.HTTPConnection, sql: str, parameters: dict[str, str]
) -> http.client.HTTPResponse:
    headers = {"X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password}
    connection.request("POST", f"/?{urlencode(parameters)}", sql.encode(), headers)
    return connection.getresponse()


def _kill(server: ClickHouseAccess, query_id: str) -> None:
    """Nobody reads the answer any more; the server would compute it to its end."""
    with suppress(OSError, http.client.HTTPException), closing(_connect(server, KILL_S)) as connection:
        sql = f"KILL QUERY WHERE query_id = '{query_id}' ASYNC"
        _ask(server, connection, sql, {}).read()


def _pieces(server: ClickHouseAccess, response: http.client.HTTPResponse) -> Iterator[bytes]:
    if response.status != http.client.OK:
        raise _error(server, response.read().decode(errors="replace"))
    mark = _MARK + (response.getheader("X-ClickHouse-Exception-Tag") or "").encode()
    tail, broken = b"", False
    while True:
        try:
            piece = response.read1(CHUNK)
        except http.client.IncompleteRead as e:
            piece, broken = e.partial, True
        tail += piece
        if broken or not piece:
            break
        if len(tail) > 2 * _TAIL:
            yield tail[:-_TAIL]
            tail = tail[-_TAIL:]
    answer, failed, message = tail.partition(mark)
    yield answer
    if failed:
        # the message ends in a line with its length and the tag
        raise _error(server, message.partition(_MARK)[0].rpartition(b"\n")[0].decode(errors="replace"))
    if broken:
        raise SinkUnavailable(f"{server}: the answer broke off")


def _error(server: ClickHouseAccess, message: str) -> SinkError:
    code = _CODE.search(message)
    text = f"{server}: {message.strip() or 'an error without a message'}"
    return SinkUnavailable(text) if code and int(code[1]) in PASSING else SinkRejected(text)
