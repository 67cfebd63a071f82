"""Clients of ClickHouse's native port may do what they like: the engine lives on."""

import random
import socket
import subprocess
import sys
from typing import Protocol
from uuid import uuid4

import pytest

from infra.stack.process.service import ROOT
from sinks.clickhouse import ClickHouseAccess, Session
from streams.sink import SinkRejected
from tests.support.waiting import eventually

KILLS = 4
SCRIPT = """
import sys
from sinks.clickhouse import ClickHouseAccess, Session
session, table = Session(ClickHouseAccess.at(sys.argv[1], database="")), sys.argv[2]
def ask(sql): return session.query("a test", sql)
def put(n): session.insert(table, ["n"], [list(range(n))])
print("begin", flush=True)
"""
CLIENTS = {
    "a large answer": "ask('SELECT number, toString(number) FROM numbers(100000000)')",
    "a long computation": "ask('SELECT sum(sipHash64(number)) FROM numbers(10000000000)')",
    "large inserts": "[put(1000000) for _ in range(100)]",
    "small inserts": "[put(100) for _ in range(100000)]",
}


class HasEngine(Protocol):
    """Where ClickHouse is, host:port."""

    @property
    def clickhouse(self) -> str: ...


def uptime(stack: HasEngine) -> int:
    """Seconds that the engine has lived, asked through the guard."""
    session = Session(ClickHouseAccess.at(stack.clickhouse, database=""))
    try:
        return int(session.query("a test", "SELECT uptime()")[0][0])
    finally:
        session.close()


@pytest.mark.parametrize("work", CLIENTS.values(), ids=CLIENTS)
def test_clients_killed_in_the_middle_do_no_harm(stack: HasEngine, work: str) -> None:
    """The engine would abort if it saw one vanish."""
    table = f"guarded_{uuid4().hex[:8]}"
    session = Session(ClickHouseAccess.at(stack.clickhouse, database=""))
    session.query(table, f"CREATE TABLE {table} (n UInt64) ENGINE = MergeTree ORDER BY n")
    session.close()
    before, rng = uptime(stack), random.Random(work)
    for _ in range(KILLS):
        client = subprocess.Popen(
            [sys.executable, "-c", SCRIPT + work, stack.clickhouse, table], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert client.stdout is not None
        assert client.stdout.readline() == b"begin\n"
        try:
            client.wait(rng.uniform(0, 0.5))
        except subprocess.TimeoutExpired:
            client.kill()
        client.communicate()
        assert uptime(stack) >= before
    # the guard lets what they asked run to its end, which would slow down every test after this one
    session = Session(ClickHouseAccess.at(stack.clickhouse, database=""))
    session.query("a test", "KILL QUERY WHERE query LIKE 'SELECT sum(sipHash64%' SYNC")
    session.close()


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ({"database": "", "user": "nobody"}, "AUTHENTICATION_FAILED"),
        ({"database": "", "password": "wrong"}, "AUTHENTICATION_FAILED|REQUIRED_PASSWORD"),
    ],
)
def test_a_stranger_is_refused_as_by_a_server(stack: HasEngine, who: dict[str, str], why: str) -> None:
    """The engine would abort if it had to refuse; the client sees ClickHouse's own error."""
    before = uptime(stack)
    with pytest.raises(SinkRejected, match=why):
        Session(ClickHouseAccess.at(stack.clickhouse, **who)).query("a test", "SELECT 1")
    assert uptime(stack) >= before


def test_what_is_no_client_is_sent_away(stack: HasEngine) -> None:
    """A browser on the wrong port."""
    before = uptime(stack)
    host, _, port = stack.clickhouse.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: browser.recv(4096), b""))
    assert b"not a Hello" in answer
    assert uptime(stack) >= before


def test_a_client_that_says_nothing_holds_nothing(stack: HasEngine) -> None:
    """Connections without a word never reach the engine."""
    host, _, port = stack.clickhouse.rpartition(":")
    silent = [socket.create_connection((host, int(port)), 10) for _ in range(50)]
    for connection in silent:
        connection.close()
    assert eventually(lambda: uptime(stack) >= 0, 10)


def test_much_data_passes_unharmed_both_ways(stack: HasEngine) -> None:
    """Larger than every buffer on the way."""
    rows = 1_500_000
    session = Session(ClickHouseAccess.at(stack.clickhouse, database=""))
    table = f"large_{uuid4().hex[:8]}"
    session.query(table, f"CREATE TABLE {table} (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    texts = [f"{n:032}" for n in range(rows)]
    session.insert(table, ["n", "s"], [list(range(rows)), texts])
    back = session.query(table, f"SELECT s FROM {table} ORDER BY n")
    session.query(table, f"DROP TABLE {table}")
    session.close()
    assert [s for (s,) in back] == texts
