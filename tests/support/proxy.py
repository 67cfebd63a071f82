"""A TCP proxy that misbehaves on request: swallows answers, cuts connections, delivers half an answer."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

Mode = Literal["pass", "swallow", "cut", "half"]


class Proxy:
    """Forwards 127.0.0.1:`port` to `target` (host:port); `mode` rules what comes back, from now on.

    pass: all · swallow: nothing · cut: the connection ends at the answer · half: ends in the midst of it
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self.mode: Mode = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def drop(self) -> None:
        """End the connections of now; new ones are taken."""
        for open_socket in self._sockets:
            _shut(open_socket)
        self._sockets.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _shut(self._listener)
        self.drop()
        for thread in list(self._threads):
            thread.join(5)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]  # any function
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            self._start(self._forward, client, server)
            self._start(self._answer, server, client)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """What the client says always arrives."""
        try:
            while data := client.recv(65_536):
                server.sendall(data)
        except OSError:
            pass
        _shut(server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(65_536):
                if self.mode == "pass":
                    client.sendall(data)
                elif self.mode == "half":
                    client.sendall(data[: len(data) // 2])
                    break
                elif self.mode == "cut":
                    break
        except OSError:
            pass
        _shut(client)


def _shut(open_socket: socket.socket) -> None:
    with suppress(OSError):  # it may be gone already
        open_socket.shutdown(socket.SHUT_RDWR)
    open_socket.close()
