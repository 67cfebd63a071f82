"""A loopback proxy in front of the engine's native port, so that no client can make the engine abort.

The embedded engine dies when a native client vanishes in the middle of a query. Towards the engine, a client
behind this proxy never vanishes: what the engine still answers is read and thrown away, and the connection is
closed when the engine has been quiet for QUIET_SECONDS. Nothing is held beyond one buffer per direction.
"""

import argparse
import asyncio
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.stack.clickhouse.hello import (
    UNEXPECTED_PACKET,
    Hello,
    HelloRefusal,
    NotHelloError,
    ask,
    parse_hello,
)
from infra.stack.process.ports import HOST
from infra.stack.process.service import Service

QUIET_SECONDS = 15.0
BUFFER_BYTES = 1 << 18


class _Side(asyncio.BufferedProtocol):
    """One end of a connection; what it reads goes to the other end, no faster than that end takes it."""

    def __init__(self, peer: "_Side | None" = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer = peer
        self.gone = False
        self._view = memoryview(bytearray(BUFFER_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type checker: TCP always is
        self.transport = transport
        transport.set_write_buffer_limits(high=BUFFER_BYTES)
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        # copied: what a slow peer has not taken is still queued when this buffer is filled again
        self.forward(bytes(self._view[:nbytes]))

    def forward(self, data: bytes) -> None:
        """Hand `data` to the other end."""
        if self.peer is not None and self.peer.transport is not None and not self.peer.gone:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None and not self.peer.gone:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self.gone = True
        # both ends know each other: the collector, which counts objects, would let many such buffers gather
        self._view = memoryview(b"")


class UpstreamSide(_Side):
    """The end towards the engine; outlives its client until the engine is quiet."""

    def __init__(self, peer: "Client", quiet_seconds: float) -> None:
        super().__init__(peer)
        self._quiet_seconds = quiet_seconds
        self._heard_at = 0.0

    def buffer_updated(self, nbytes: int) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        super().buffer_updated(nbytes)

    def abandon(self) -> None:
        """The client is gone: drain, and close when quiet."""
        if self.transport is not None and not self.gone:
            self._heard_at = asyncio.get_running_loop().time()
            self.transport.resume_reading()
            self._close_when_quiet()

    def _close_when_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        quiet = loop.time() - self._heard_at
        if self.gone or self.transport is None:
            return
        if quiet >= self._quiet_seconds:
            self.transport.close()
        else:
            loop.call_later(self._quiet_seconds - quiet + 0.01, self._close_when_quiet)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()


class Client(_Side):
    """The end towards a client; the engine is reached when the client's Hello is one that it will welcome."""

    def __init__(self, config: "Guard", tasks: "set[asyncio.Task[None]]") -> None:
        super().__init__()
        self._config = config
        self._tasks = tasks
        self._first = b""
        self._asked = False

    def forward(self, data: bytes) -> None:
        if self.peer is not None:
            super().forward(data)
            return
        assert self.transport is not None  # noqa: S101  # for the type checker: data came through it
        self._first += data
        if self._asked:
            return
        try:
            hello = parse_hello(self._first)
        except NotHelloError as e:
            self._refuse(HelloRefusal(UNEXPECTED_PACKET, str(e)))
            return
        if hello is not None:
            self._asked = True
            self.transport.pause_reading()
            task = asyncio.get_running_loop().create_task(self._connect(hello))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, hello: Hello) -> None:
        assert self.transport is not None  # noqa: S101  # for the type checker: a Hello came through it
        loop, config = asyncio.get_running_loop(), self._config
        try:
            if refusal := await ask(hello, config.http):
                self._refuse(refusal)
                return
            _, engine = await loop.create_connection(
                lambda: UpstreamSide(self, config.quiet_seconds), HOST, config.upstream
            )
        except OSError:
            self.transport.abort()  # the engine is away; clients try again
            return
        self.peer = engine
        super().forward(self._first)
        self._first = b""
        if self.gone:
            engine.abandon()
        else:
            self.transport.resume_reading()

    def _refuse(self, refusal: HelloRefusal) -> None:
        if self.transport is not None:
            self.transport.write(refusal.packet())
            self.transport.close()

    def eof_received(self) -> bool:
        return False  # a client that has stopped speaking has left: no native client half-closes

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.peer, UpstreamSide):
            self.peer.abandon()


@dataclass(frozen=True, slots=True)
class Guard:
    """Ports of 127.0.0.1: clients come to `port`; the engine speaks native at `upstream`, HTTP at `http`."""

    port: int
    upstream: int
    http: int
    quiet_seconds: float = QUIET_SECONDS


async def serve(config: Guard) -> asyncio.Server:
    """Listen for clients of the engine."""
    tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: Client(config, tasks), HOST, config.port, reuse_address=True, backlog=512
    )


def guard_service(home: Path, port: int, upstream: int, http: int) -> Service:
    """The proxy from `port` to the engine."""
    command = [
        sys.executable,
        "-m",
        "infra.stack.clickhouse.guard",
        f"--port={port}",
        f"--upstream={upstream}",
        f"--http={http}",
    ]
    return Service(
        name="guard",
        command=command,
        log=home / "log" / "guard.log",
        well=lambda _: _accepts(port),
        grace_seconds=5.0,
    )


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 2.0).close()
    except OSError:
        return False
    return True


async def _main(config: Guard) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await serve(config)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Guards the engine's native port.")
    for name in ("port", "upstream", "http"):
        parser.add_argument(f"--{name}", type=int, required=True)
    asyncio.run(_main(Guard(**vars(parser.parse_args()))))
