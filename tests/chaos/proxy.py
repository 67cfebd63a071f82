"""A TCP proxy that misbehaves when told to: between one worker and ClickHouse."""

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

HOST = "127.0.0.1"
CHUNK = 65_536
INSERT = re.compile(rb"INSERT INTO `(\w+)`")
END_OF_STREAM = b"\x05"

Mode = Literal["pass", "refuse", "swallow", "half"]
# what becomes of the answer to an insert that the server has carried out
Answer = Literal["swallow", "reset", "half"]


class Proxy:
    """Listens on a port of its own. Methods may be called from any thread, and act at once.

    `inserts` are the tables of the inserts that the server has acknowledged, in their order.
    """

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self.upstream = (host, int(port))
        self.inserts: list[str] = []
        self.mode: Mode = "pass"
        self._armed: tuple[str, Answer, Callable[[], None]] | None = None
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._socket = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections and stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def behave(self, mode: Mode) -> None:
        """From now on pass all on, refuse connections, swallow all, or break each answer off halfway."""
        self.mode = mode

    def reset(self) -> None:
        """End all connections that there are, as a cut cable's router would."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def spoil_insert(self, table: str, answer: Answer, then: Callable[[], None] = lambda: None) -> None:
        """Of the next insert into `table`, pass the data, but not the whole answer; then call `then`."""
        self._armed = (table, answer, then)

    def disarm(self) -> None:
        """Let the insert that was waited for pass."""
        self._armed = None

    @property
    def spoilt(self) -> bool:
        """Whether the insert that was waited for has come."""
        return self._armed is None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket))
        try:
            self._loop.run_forever()
        finally:
            server.close()
            self._abort_all()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer)
        self._connections.add(connection)
        try:
            await connection.serve(reader)
        except OSError:
            pass
        finally:
            connection.abort()
            self._connections.discard(connection)

    def claim(self, table: str) -> tuple[Answer, Callable[[], None]] | None:
        """What to do with the answer to an insert into `table`, once."""
        if self._armed is None or self._armed[0] != table:
            return None
        _, answer, then = self._armed
        self._armed = None
        return answer, then


class _Connection:
    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter) -> None:
        self._proxy, self._client = proxy, client
        self._server: asyncio.StreamWriter | None = None
        self._table = ""  # of the insert that is under way
        self._answered = False  # the server has said what the data must look like
        self._sent = False  # data have been sent after that
        self._swallowing = False

    async def serve(self, from_client: asyncio.StreamReader) -> None:
        if self._proxy.mode == "refuse":
            return
        from_server, self._server = await asyncio.open_connection(*self._proxy.upstream)
        pumps = [
            asyncio.ensure_future(self._pump(from_client, self._server, self._request)),
            asyncio.ensure_future(self._pump(from_server, self._client, self._answer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def abort(self) -> None:
        for writer in (self._client, self._server):
            if writer is None or writer.transport.is_closing():
                continue
            sock = writer.get_extra_info("socket")
            if sock is not None:
                # no goodbye: what the other side sees is a reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look: Callable[[bytes], bytes | None],
    ) -> None:
        while data := await reader.read(CHUNK):
            if self._swallowing or self._proxy.mode == "swallow":
                continue
            passed = look(data)
            if passed is None:
                continue
            writer.write(passed)
            await writer.drain()
            if len(passed) < len(data):
                writer.close()
                return

    def _request(self, data: bytes) -> bytes:
        if found := INSERT.search(data):
            self._table, self._answered, self._sent = found[1].decode(), False, False
        elif self._table and self._answered:
            self._sent = True
        return data

    def _answer(self, data: bytes) -> bytes | None:
        if self._proxy.mode == "half":
            return data[: len(data) // 2]
        if not self._table:
            return data
        self._answered = True
        if not self._sent:
            return data
        if (claimed := self._proxy.claim(self._table)) is not None:
            return self._spoil(data, *claimed)
        if data.endswith(END_OF_STREAM):
            self._proxy.inserts.append(self._table)
            self._table = ""
        return data

    def _spoil(self, data: bytes, answer: Answer, then: Callable[[], None]) -> bytes | None:
        then()
        match answer:
            case "swallow":
                self._swallowing = True
                return None
            case "reset":
                self.abort()
                return None
            case "half":
                return data[: len(data) // 2]
