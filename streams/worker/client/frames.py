"""Kafka's answers read from the socket into their place.

asyncio's stream reader copies each of them twice, lets its buffer grow by moving it, and stops and starts
reading with every quarter of a megabyte: a fifth of what a fetch costs.
"""

import asyncio
import logging
import struct
import weakref
from collections.abc import Callable
from typing import Any

from streams.native.unfilled import unfilled, window

log = logging.getLogger(__name__)

LENGTH = struct.Struct(">i")
# Kafka sends no more than what was asked for, and one batch that is larger
LARGEST = 1 << 30


class Frames(asyncio.BufferedProtocol):
    """Reads a connection's frames, a length of four bytes before each, in place of `stream`.

    All but the data is still the business of `stream`, whose reader hears of the end of the connection.
    """

    def __init__(self, stream: asyncio.StreamReaderProtocol, take: Callable[[bytes], None]) -> None:
        self._stream, self._take = stream, take
        self._length = bytearray(LENGTH.size)
        self._frame: bytes | None = None
        self._room = memoryview(self._length)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio names it
        """Where the next bytes go."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come. Raises ConnectionError, which ends the connection."""
        self._room = self._room[nbytes:]
        if self._room:
            return
        frame, self._frame = self._frame, None
        if frame is None:
            (size,) = LENGTH.unpack(self._length)
            if not 0 < size <= LARGEST:
                # whoever waits is only told that the connection was closed, and neither library logs why
                log.error("Kafka announces a frame of %d bytes, the connection is closed", size)
                raise ConnectionError(f"Kafka announces a frame of {size} bytes")
            self._frame, address = unfilled(size)
            self._room = window(address, size)
        else:
            self._room = memoryview(self._length)
            self._take(frame)

    def eof_received(self) -> bool | None:
        """As the stream's."""
        return self._stream.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """As the stream's."""
        self._stream.connection_lost(exc)

    def pause_writing(self) -> None:
        """As the stream's."""
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        """As the stream's."""
        self._stream.resume_writing()


def read_in_place(client: Any) -> None:
    """Make one client of aiokafka read this way; it has no setting for it.

    A connection is changed before it is used for the first time after this, or once no answer is awaited;
    one with TLS never is.
    """
    connect = client._get_conn  # noqa: SLF001 - as above

    async def connected(*args: Any, **kwargs: Any) -> Any:
        connection = await connect(*args, **kwargs)
        if connection is not None:
            _change(connection)
        return connection

    client._get_conn = connected  # noqa: SLF001 - as above


def _change(connection: Any) -> None:
    writer = connection._writer  # noqa: SLF001 - as above
    if writer is None or writer.is_closing() or connection._requests:  # noqa: SLF001 - as above
        return
    # asyncio's TLS gives a buffered protocol one more piece at the end and drops all that stands behind it,
    # and lets it read once more within our own `close`
    if writer.get_extra_info("sslcontext") is not None:
        return
    stream = writer.transport.get_protocol()
    if not isinstance(stream, Frames):
        # aiokafka's own way of not keeping a connection that nobody else has
        it = weakref.ref(connection)
        writer.transport.set_protocol(Frames(stream, lambda frame: _take(it(), frame)))


def _take(connection: Any, frame: bytes) -> None:
    # after `close` nobody waits for an answer
    if connection is not None and connection._reader is not None:  # noqa: SLF001 - as above
        connection._handle_frame(frame)  # noqa: SLF001 - as above
