"""Ports are held: no other stack takes them, and a child of this one may listen on them again and again."""

import socket

import pytest

from infra.stack.process import ports
from infra.stack.process.ports import HOST, Reservation, reserve


def listener(port: int) -> socket.socket:
    """A server as ours are: with SO_REUSEADDR."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, port))
    server.listen()
    return server


def test_a_reserved_port_is_refused_to_other_stacks_and_open_to_its_own_server() -> None:
    """The server may also come back after a connection was open when it died, and so may the whole stack."""
    held = reserve()
    try:
        with pytest.raises(OSError, match="in use"):
            Reservation(held.port)
        for _ in range(2):
            with listener(held.port) as server, socket.create_connection((HOST, held.port)):
                accepted, _ = server.accept()
                accepted.close()  # the server's end goes first, so that TIME_WAIT is on its port
        assert held.address == f"{HOST}:{held.port}"
    finally:
        held.close()
    Reservation(held.port).close()


def test_a_port_of_another_program_is_taken() -> None:
    """Whatever options its socket has."""
    with listener(0) as server, pytest.raises(OSError, match="in use"):
        Reservation(server.getsockname()[1])


def test_nobody_answers_on_a_port_that_is_only_reserved() -> None:
    """Clients of a child that is away are refused at once."""
    held = reserve()
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, held.port), 5)
    finally:
        held.close()


def test_the_preferred_port_is_taken_when_free_else_another() -> None:
    """The second stack gets a port of its own."""
    first = reserve()
    first.close()
    again = reserve([first.port])
    other = reserve([first.port])
    try:
        assert again.port == first.port
        assert other.port != first.port
    finally:
        again.close()
        other.close()


def test_chosen_ports_are_none_that_the_system_gives_to_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a client could meet itself there."""
    monkeypatch.setattr(ports, "_outgoing_from", lambda: ports.LOWEST + 50)
    held = [reserve() for _ in range(5)]
    for reservation in held:
        reservation.close()
    assert all(ports.LOWEST <= r.port < ports.LOWEST + 50 for r in held)


def test_no_free_port_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an endless search."""
    held = reserve()
    monkeypatch.setattr(ports, "LOWEST", held.port)
    monkeypatch.setattr(ports, "_outgoing_from", lambda: held.port + 1)
    with pytest.raises(ports.PortError, match="no free port"):
        reserve()
    held.close()
