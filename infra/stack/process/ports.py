"""Ports of the loopback interface: chosen, and held for as long as the stack runs."""

import random
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

HOST = "127.0.0.1"
LOWEST = 10_240
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
TRIES = 200


class PortError(OSError):
    """No port is free."""


class Reservation:
    """A port that no other stack can take, while a child of this one may listen on it, again and again.

    The socket is bound and does not listen. It sets SO_REUSEADDR, as all of our servers do, so that it passes
    over what connections of a former server have left; a name in the system keeps other stacks away. Both go
    with the process. Raises OSError when the port is taken.
    """

    def __init__(self, port: int) -> None:
        self._name = _claim(f"songlo-port-{port}")
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, port))
        except OSError:
            self.close()
            raise
        self.port = port

    @property
    def address(self) -> str:
        """host:port."""
        return f"{HOST}:{self.port}"

    def close(self) -> None:
        """Let others have the port."""
        self._socket.close()
        if self._name is not None:
            self._name.close()


def reserve(preferred: Iterable[int] = ()) -> Reservation:
    """The first preferred port that is free, else any that is.

    Never one of the range that the system gives to outgoing connections: a client that keeps on trying such a
    port while nothing listens there can end up connected to itself. Raises PortError.
    """
    lowest, highest = LOWEST, _outgoing_from() - 1
    for port in (*preferred, *(random.randint(lowest, highest) for _ in range(TRIES))):  # noqa: S311  # no secret
        try:
            return Reservation(port)
        except OSError:
            continue
    raise PortError(f"no free port on {HOST} between {lowest} and {highest}")


def _claim(name: str) -> socket.socket | None:
    """Linux's abstract addresses: names that belong to one process, and to nobody when it has died."""
    if sys.platform != "linux":
        return None
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0{name}")
    except OSError:
        claim.close()
        raise
    return claim


def _outgoing_from() -> int:
    try:
        first = int(RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768
    return first if first > LOWEST + 1000 else 32_768
