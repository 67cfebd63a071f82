"""The proxy that misbehaves: each way shows at the client as it would from a network."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.chaos.proxy import Proxy

INSERT = b"INSERT INTO `camera_windows` VALUES"
HEADER, DONE = b"columns", b"ack\x05"


def answer(connection: socket.socket) -> None:
    """A server of the protocol's shape: an insert is told the columns, then its data are acknowledged."""
    with connection, suppress(ConnectionError):
        while data := connection.recv(1000):
            connection.sendall(HEADER if data == INSERT else DONE)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """In front of such a server."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with Proxy(f"127.0.0.1:{server.getsockname()[1]}") as opened:
        yield opened
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def client(proxy: Proxy) -> socket.socket:
    """A connection that waits for half a second at most."""
    host, _, port = proxy.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=0.5)


def insert(connection: socket.socket) -> bytes:
    """An insert; what the server answers to its data."""
    connection.sendall(INSERT)
    assert connection.recv(100) == HEADER
    connection.sendall(b"data")
    return connection.recv(100)


def test_it_passes_and_counts_inserts(proxy: Proxy) -> None:
    """Acknowledged inserts are told by table."""
    with client(proxy) as connection:
        assert insert(connection) == DONE
    assert proxy.inserts == ["camera_windows"]


def test_a_refused_connection_ends_at_once(proxy: Proxy) -> None:
    """As of a server that is down."""
    proxy.behave("refuse")
    answered = b""
    # the refusal may be met as early as in the connect
    with suppress(ConnectionError), client(proxy) as connection:
        answered = connection.recv(100)
    assert answered == b""


def test_a_swallowing_connection_says_nothing(proxy: Proxy) -> None:
    """As a network that drops all packets."""
    proxy.behave("swallow")
    with client(proxy) as connection:
        connection.sendall(INSERT)
        with pytest.raises(TimeoutError):
            connection.recv(100)


def test_half_an_answer_and_then_the_end(proxy: Proxy) -> None:
    """As a server that dies while it speaks."""
    proxy.behave("half")
    with client(proxy) as connection:
        connection.sendall(INSERT)
        assert connection.recv(100) == HEADER[: len(HEADER) // 2]
        assert connection.recv(100) == b""


def test_reset_ends_all_connections(proxy: Proxy) -> None:
    """Not with a goodbye."""
    with client(proxy) as connection:
        assert insert(connection) == DONE
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


@pytest.mark.parametrize("how", ["swallow", "reset", "half"])
def test_an_insert_is_carried_out_and_its_answer_spoilt(proxy: Proxy, how: str) -> None:
    """Once: the data have reached the server, the client does not hear so; the next insert is as usual."""
    told = threading.Event()
    proxy.spoil_insert("camera_windows", how, told.set)  # type: ignore[arg-type] # one of its literals
    with client(proxy) as connection:
        try:
            answered = insert(connection)
        except OSError:
            answered = b""
        assert answered == (DONE[: len(DONE) // 2] if how == "half" else b"")
    assert told.wait(1)
    assert proxy.spoilt
    with client(proxy) as connection:
        assert insert(connection) == DONE
    assert proxy.inserts == ["camera_windows"]
