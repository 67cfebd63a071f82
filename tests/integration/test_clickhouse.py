"""The connection to ClickHouse under faults: each error as the sink's own, and a fresh start after it."""

import socket
import time
from array import array
from collections.abc import Iterator
from contextlib import closing

import pytest

from sinks.clickhouse import CONNECT_S, PING_S, RECEIVE_S, ClickHouseAccess, MissingSchema, Session
from sinks.codes import PASSING
from sinks.query import stream_query
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.core.values import ClosedPane
from streams.sink import SinkRejected, SinkUnavailable
from tests.support.clickhouse import HasClickHouse, ask, camera_row, changes, new_database
from tests.support.proxy import Mode, Proxy
from tests.support.waiting import eventually


class HasHttp(HasClickHouse):
    """Where the engine answers by HTTP, host:port."""

    clickhouse_http: str


@pytest.fixture(scope="module")
def server(stack: HasClickHouse) -> ClickHouseAccess:
    """A migrated database."""
    return new_database(stack)


@pytest.fixture
def proxy(server: ClickHouseAccess) -> Iterator[Proxy]:
    """A way to the engine that can be disturbed."""
    with Proxy(f"{server.host}:{server.port}") as proxy:
        yield proxy


@pytest.fixture
def session(server: ClickHouseAccess, proxy: Proxy) -> Iterator[Session]:
    """A session through it, that waits a second for an answer."""
    session = Session(ClickHouseAccess.at(proxy.address, database=server.database, receive_s=1))
    yield session
    session.close()


def test_a_connection_that_hangs_is_given_up_within_half_a_minute() -> None:
    """Ping, connect and receive time out one after the other in the worst case."""
    assert PING_S + CONNECT_S + RECEIVE_S <= 30


@pytest.mark.parametrize("mode", ["swallow", "cut", "half"])
def test_lost_answers_are_unavailable_and_the_next_call_starts_afresh(
    session: Session, proxy: Proxy, mode: Mode
) -> None:
    """An answer that does not come, or not whole; twice, since the second call has to connect again."""
    assert session.query("progress", "SELECT count() FROM progress") == [(0,)]
    proxy.mode = mode
    for _ in range(2):
        with pytest.raises(SinkUnavailable, match=r"ClickHouse at 127.0.0.1:\d+, test_\w+\.progress"):
            session.query("progress", "SELECT count() FROM progress")
    proxy.mode = "pass"
    assert session.query("progress", "SELECT count() FROM progress") == [(0,)]


@pytest.mark.parametrize("mode", ["swallow", "cut"])
def test_an_insert_whose_answer_is_lost_may_be_made_again(
    session: Session, server: ClickHouseAccess, proxy: Proxy, mode: Mode
) -> None:
    """The rows may be there or not; after the same call again they are there once."""
    columns = [["camera"], [f"topic-{mode}"], [1], [7]]
    names = ("stream", "topic", "partition", "next_offset")
    session.query("progress", "SELECT 1")
    proxy.mode = mode
    with pytest.raises(SinkUnavailable):
        session.insert("progress", names, columns)
    proxy.mode = "pass"
    session.insert("progress", names, columns)
    found = f"SELECT partition, next_offset FROM progress FINAL WHERE topic = 'topic-{mode}'"
    assert ask(server, found) == [(1, 7)]


def test_a_lookup_that_breaks_off_leaves_nothing_behind(server: ClickHouseAccess, proxy: Proxy) -> None:
    """Half of the ids of a pane are no ids: the lookup fails, and answers in full the next time."""
    sink = ClickHouseSink(ClickHouseAccess.at(proxy.address, database=server.database))
    pane = ClosedPane(60_000, array("Q", range(200_000)))
    sink.put_ids(CAMERA, [changes(CAMERA, closed=[pane])])
    proxy.mode = "half"
    with pytest.raises(SinkUnavailable):
        sink.pane_ids(CAMERA.topic, {0: [60_000]})
    proxy.mode = "pass"
    assert sink.pane_ids(CAMERA.topic, {0: [60_000]})[0, 60_000].on_time == pane.ids
    sink.close()


def test_a_server_that_is_away_is_unavailable_at_once() -> None:
    """A refused connection does not wait for a time-out."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(SinkUnavailable, match=f"ClickHouse at 127.0.0.1:{port}"):
        Session(ClickHouseAccess("127.0.0.1", port)).query("progress", "SELECT 1")
    assert time.monotonic() - started < CONNECT_S


def test_what_speaks_another_protocol_is_unavailable(stack: HasHttp) -> None:
    """The HTTP port in place of the native one: an error, not a hang."""
    session = Session(ClickHouseAccess.at(stack.clickhouse_http, database="default", receive_s=1))
    with pytest.raises(SinkUnavailable):
        session.query("progress", "SELECT 1")


def test_an_idle_connection_that_was_closed_is_replaced(session: Session, proxy: Proxy) -> None:
    """Servers and firewalls close idle connections; the next call is answered as if nothing had been."""
    assert session.query("-", "SELECT currentDatabase()") == [(session.server.database,)]
    proxy.drop()
    assert session.query("-", "SELECT currentDatabase()") == [(session.server.database,)]


def test_a_refusal_carries_the_table_and_the_servers_message(server: ClickHouseAccess) -> None:
    """An operator reads what to do from the message alone, without the server's stack."""
    session = Session(server)
    with pytest.raises(SinkRejected, match=r"camera_windows: .*NO_SUCH|camera_windows: .*nope") as caught:
        session.query("camera_windows", "SELECT nope FROM camera_windows")
    assert "Stack trace" not in str(caught.value)
    with pytest.raises(MissingSchema, match=r"parking_windows.*run `songlo migrate`"):
        session.insert("parking_windows", ("x",), [[1]])
    assert session.query("-", "SELECT 1") == [(1,)]
    session.close()


def test_a_database_that_is_not_there_is_named(stack: HasClickHouse) -> None:
    """A worker that starts before the first migration says what to run."""
    session = Session(ClickHouseAccess.at(stack.clickhouse, database="nowhere"))
    with closing(session), pytest.raises(MissingSchema, match=r"no database nowhere; run `songlo migrate`"):
        session.query("progress", "SELECT 1")


@pytest.mark.parametrize("value", [-1, 2**64, "7", None, 1.5])
def test_a_value_that_no_column_takes_is_rejected(server: ClickHouseAccess, value: object) -> None:
    """Never wrapped, never retried for ever; the session goes on."""
    session = Session(server)
    with pytest.raises(SinkRejected, match="progress"):
        session.insert("progress", ("topic", "folded"), [["t"], [value]])
    assert session.query("-", "SELECT 1") == [(1,)]
    session.close()


def test_rows_are_written_in_one_thread_of_many_inserts(server: ClickHouseAccess) -> None:
    """Inserts wait until they are stored: what was put is read at once (async_insert is off)."""
    sink = ClickHouseSink(server)
    for offset in range(1, 30):
        sink.put_rows(CAMERA, [changes(CAMERA, rows=[camera_row(offset=offset, events=offset)])])
        assert ask(server, "SELECT events FROM camera_minute") == [(offset,)]
    sink.close()


def test_error_codes_have_the_names_that_the_server_gives_them(server: ClickHouseAccess) -> None:
    """A code of the list that meant something else would be retried for ever."""
    for code, name in PASSING.items():
        assert ask(server, f"SELECT errorCodeToName({code})") == [(name,)]


@pytest.fixture
def http(stack: HasHttp, server: ClickHouseAccess) -> ClickHouseAccess:
    """The same database by HTTP."""
    return ClickHouseAccess.at(stack.clickhouse_http, database=server.database)


@pytest.mark.parametrize(
    ("output_format", "expected"),
    [("TSV", b"1\tTuy\xc3\xaan Quang\n"), ("JSONEachRow", b'{"n":1,"city":"Tuy\xc3\xaan Quang"}\n')],
)
def test_queries_answer_in_any_format(http: ClickHouseAccess, output_format: str, expected: bytes) -> None:
    """By ClickHouse's own names; a FORMAT in the query wins."""
    sql = "SELECT 1 AS n, 'Tuyên Quang' AS city"
    assert b"".join(stream_query(http, sql, output_format)) == expected
    assert b"".join(stream_query(http, f"{sql} FORMAT CSV", output_format)) == '1,"Tuyên Quang"\n'.encode()


def test_a_large_answer_comes_in_pieces(http: ClickHouseAccess) -> None:
    """Nothing is lost between pieces, and no piece holds the whole."""
    pieces = list(stream_query(http, "SELECT number FROM numbers(500000)", "TSV"))
    assert b"".join(pieces) == b"".join(b"%d\n" % n for n in range(500_000))
    assert max(map(len, pieces)) < 200_000


def test_an_answer_of_any_bytes(http: ClickHouseAccess) -> None:
    """RawBLOB of all byte values comes back as it is."""
    sql = "SELECT unhex('" + bytes(range(256)).hex() + "')"
    assert b"".join(stream_query(http, sql, "RawBLOB")) == bytes(range(256))


def test_a_query_that_fails_in_the_middle_says_why(http: ClickHouseAccess) -> None:
    """HTTP has said 200 by then; the reader gets the rows so far, then the error."""
    answer = stream_query(http, "SELECT throwIf(number = 3000000, 'too far') FROM numbers(10000000)", "TSV")
    received: list[bytes] = []
    with pytest.raises(SinkRejected, match=r"too far.*\)$"):
        received.extend(answer)
    assert set(b"".join(received)) == set(b"0\n")


def test_a_wrong_query_is_rejected_with_the_servers_message(http: ClickHouseAccess) -> None:
    """The message of ClickHouse, in one error."""
    with pytest.raises(SinkRejected, match="nope"):
        list(stream_query(http, "SELECT nope", "TSV"))


def test_http_that_is_away_is_unavailable() -> None:
    """As by the native protocol."""
    with pytest.raises(SinkUnavailable, match=r"ClickHouse at 127\.0\.0\.1:1"):
        list(stream_query(ClickHouseAccess("127.0.0.1", 1), "SELECT 1", "TSV"))


def test_a_query_that_nobody_reads_any_more_is_stopped(
    http: ClickHouseAccess, server: ClickHouseAccess
) -> None:
    """Ctrl-C in the middle of a long answer must not leave the server at work for minutes."""
    soon = f"SELECT repeat('x', 200000) AS {server.database}"
    late = "SELECT toString(sum(sleepEachRow(1))) FROM numbers(60)"
    answer = stream_query(http, f"{soon} UNION ALL {late} SETTINGS max_block_size = 1", "TSV")
    assert next(answer)
    running = f"SELECT count() FROM system.processes WHERE query LIKE 'SELECT repeat%{server.database}%'"
    assert ask(server, running) == [(1,)]
    answer.close()
    assert eventually(lambda: ask(server, running) == [(0,)], 15)
