"""How long a connection to ClickHouse waits for an answer, on servers that give none."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sinks.clickhouse import PATIENT, ClickHouseAccess, Session
from streams.sink import SinkUnavailable

RECEIVE_S = 0.05


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """A server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def asked(session: Session) -> float:
    """What the next connection may take, after one more question."""
    with pytest.raises(SinkUnavailable):
        session.query("t", "SELECT 1")
    seconds: float = session._client.connection.send_receive_timeout
    return seconds / RECEIVE_S


def test_each_time_out_doubles_the_next_up_to_a_bound(mute: socket.socket) -> None:
    """An insert that takes longer than the time would be made again and again."""
    session = Session(ClickHouseAccess("127.0.0.1", mute.getsockname()[1], receive_s=RECEIVE_S))
    assert [asked(session) for _ in range(4)] == [2, PATIENT, PATIENT, PATIENT]


def test_what_is_lost_otherwise_begins_anew(mute: socket.socket) -> None:
    """A server that went away is no slow one."""
    session = Session(ClickHouseAccess("127.0.0.1", mute.getsockname()[1], receive_s=RECEIVE_S))
    assert asked(session) == 2

    def hang_up() -> None:
        # those that were left waiting, and then the one that is asked
        with suppress(OSError):
            while True:
                mute.accept()[0].close()

    threading.Thread(target=hang_up, daemon=True).start()
    assert asked(session) == 1
    mute.shutdown(socket.SHUT_RDWR)
