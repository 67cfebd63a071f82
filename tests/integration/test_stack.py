"""The embedded stack under force: killed parts come back with their data, a killed parent leaves nothing."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from infra.kafka.admin import Admin
from infra.stack.clickhouse.server import engine_answers
from infra.stack.kafka.broker import broker_answers
from infra.stack.process.service import ROOT
from infra.stack.process.state import started
from infra.stack.stack import AlreadyRunningError, Stack
from sinks.store import ClickHouseSink
from streams.core.home import Homes
from streams.kafka_access import KafkaAccess
from tests.support.clickhouse import new_database
from tests.support.waiting import eventually

BACK_SECONDS = 60


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that these tests may hurt."""
    with Stack(tmp_path_factory.mktemp("own")) as started_stack:
        yield started_stack


def port_of(address: str) -> int:
    """The port of host:port."""
    return int(address.rpartition(":")[2])


def ask(stack: Stack, query: str) -> str:
    """The answer to a query, by HTTP."""
    host, _, port = stack.clickhouse_http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("POST", "/", query.encode())
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return body.strip()
    finally:
        connection.close()


def kill(stack: Stack, name: str) -> None:
    """kill -9 one part, and wait until it is replaced."""
    before = stack.pid(name)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.pid(name) not in (None, before), BACK_SECONDS)


def test_kafka_comes_back_with_its_topics_on_its_port(own: Stack) -> None:
    """kill -9 of the broker loses nothing."""
    topic = f"kept-{uuid4().hex[:8]}"
    address = own.brokers
    with Admin(KafkaAccess.at(address)) as admin:
        admin.create(topic, 2, 1, {})
    kill(own, "broker")
    eventually(lambda: broker_answers(port_of(address)), BACK_SECONDS)
    assert own.brokers == address
    with Admin(KafkaAccess.at(address)) as admin:
        assert set(admin.topics([topic])) == {topic}


def test_clickhouse_comes_back_with_its_rows_on_its_ports(own: Stack) -> None:
    """kill -9 of the engine loses no row that it had acknowledged."""
    addresses = own.addresses()
    ask(own, "CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
    for _ in range(3):
        ask(own, "INSERT INTO kept SELECT number FROM numbers(1000)")
    kill(own, "clickhouse")
    eventually(lambda: engine_answers(port_of(own.clickhouse_http)), BACK_SECONDS)
    assert own.addresses() == addresses
    assert ask(own, "SELECT count(), sum(n) FROM kept") == "3000\t1498500"


def test_decisions_on_homes_outlive_the_engine(own: Stack) -> None:
    """kill -9 of the engine: whoever decides again after it is told what was decided before."""
    server = new_database(own)
    first = Homes("topic", "id", 0, 6, True)
    with closing(ClickHouseSink(server)) as sink:
        sink.put_homes(first)
    kill(own, "clickhouse")
    eventually(lambda: engine_answers(port_of(own.clickhouse_http)), BACK_SECONDS)
    own.wait_ready()
    with closing(ClickHouseSink(server)) as sink:
        sink.put_homes(replace(first, partitions=7))
        sink.put_homes(replace(first, change=1, partitions=8))
        assert [h.partitions for h in sink.homes("topic")] == [6, 8]
    assert ask(own, f"SELECT count() FROM {server.database}.homes") == "2"


def test_the_guard_comes_back(own: Stack) -> None:
    """Native clients can connect again."""
    kill(own, "guard")

    def accepts() -> bool:
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port_of(own.clickhouse))) == 0

    eventually(accepts, BACK_SECONDS)


def test_two_homes_run_side_by_side(own: Stack, tmp_path: Path) -> None:
    """With other ports, and other data."""
    with Stack(tmp_path) as other:
        assert not set(own.addresses().values()) & set(other.addresses().values())
        ask(other, "CREATE TABLE mine (n UInt64) ENGINE = MergeTree ORDER BY n")
        assert ask(own, "EXISTS TABLE mine") == "0"


def test_one_home_has_one_stack(own: Stack) -> None:
    """A second start in the same home is refused, and does not disturb the first."""
    with pytest.raises(AlreadyRunningError, match="running in"):
        Stack(own.home).start()
    assert engine_answers(port_of(own.clickhouse_http))


def run_alone(home: Path) -> tuple["subprocess.Popen[bytes]", dict[str, str]]:
    """A stack in a process of its own, and its addresses."""
    command = [sys.executable, "-m", "infra.stack.run", "--home", str(home)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def family(parent: int) -> list[int]:
    """The processes that `parent` has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_nothing_is_left_of_a_stack_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    """No process and no port, and the next start in the same home has the same ports and data."""
    process, addresses = run_alone(tmp_path)
    children = family(process.pid)
    assert len(children) == 3
    process.send_signal(how)
    assert process.wait(60) == (0 if how != signal.SIGKILL else -signal.SIGKILL)
    process.communicate()
    eventually(lambda: [pid for pid in children if started(pid) is not None] == [], 10)
    for address in addresses.values():
        with socket.socket() as s:
            assert s.connect_ex(("127.0.0.1", port_of(address))) != 0
    if how == signal.SIGKILL:
        with Stack(tmp_path) as again:
            assert again.addresses() == addresses
