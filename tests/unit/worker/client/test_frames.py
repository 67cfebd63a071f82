"""Kafka's answers, however the network cuts them."""

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.client.frames import LARGEST, Frames, read_in_place

FRAMES = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


class Stream(asyncio.StreamReaderProtocol):
    """What a connection had before; nothing is asked of it while data comes."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in ("eof_received", "connection_lost", "pause_writing", "resume_writing"):
            return lambda *_: self.told.append(name)
        return super().__getattribute__(name)


def framed(frame: bytes) -> bytes:
    return struct.pack(">i", len(frame)) + frame


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[a:b] for a, b in pairwise(edges))


def come(frames: Frames, piece: bytes) -> None:
    """As a transport does it: no more at a time than there is room for."""
    while piece:
        room = frames.get_buffer(-1)
        size = min(len(room), len(piece))
        room[:size] = piece[:size]
        frames.buffer_updated(size)
        piece = piece[size:]


@given(FRAMES, st.lists(st.integers(0, 400), max_size=12))
def test_frames_come_whole_however_they_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    """|len|frame.|..len|frame| -> frame, frame, as they were sent, and never before their last byte."""
    got: list[bytes] = []
    frames = Frames(Stream(), got.append)
    for piece in pieces(b"".join(map(framed, sent)), cuts):
        come(frames, piece)
    assert got == sent


def test_a_frame_is_given_once_and_is_not_written_again() -> None:
    """Whoever has it keeps it while the next one comes."""
    got: list[bytes] = []
    frames = Frames(Stream(), got.append)
    come(frames, framed(b"first"))
    kept = got[0]
    come(frames, framed(b"other"))
    assert (kept, got) == (b"first", [b"first", b"other"])


@pytest.mark.parametrize("size", [0, -1, LARGEST + 1, -(2**31)])
def test_a_length_that_cant_be_ends_the_connection(size: int) -> None:
    """Out of step with Kafka nothing that follows can be believed."""
    frames = Frames(Stream(), lambda _: None)
    with pytest.raises(ConnectionError, match=f"a frame of {size} bytes"):
        come(frames, struct.pack(">i", size))


def test_a_length_that_cant_be_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """aiokafka tells its callers that the connection was closed, and nobody why."""
    caplog.set_level(logging.ERROR)
    with pytest.raises(KafkaConnectionError):
        asyncio.run(asyncio.wait_for(asked(_out_of_step), 5))
    assert "a frame of -5 bytes" in caplog.text


def test_all_but_the_data_is_the_streams() -> None:
    """Its reader is what aiokafka learns the end of a connection from."""
    stream = Stream()
    frames = Frames(stream, lambda _: None)
    frames.pause_writing()
    frames.resume_writing()
    frames.eof_received()
    frames.connection_lost(None)
    assert stream.told == ["pause_writing", "resume_writing", "eof_received", "connection_lost"]


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(
    answer: Answer, server: ssl.SSLContext | None = None, client: ssl.SSLContext | None = None
) -> AsyncIterator[Any]:
    """A real connection of aiokafka, changed, to a server that answers like this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
    port = listening.sockets[0].getsockname()[1]
    connection = AIOKafkaConnection(
        "127.0.0.1",
        port,
        request_timeout_ms=10_000,
        security_protocol="SSL" if client else "PLAINTEXT",
        ssl_context=client,
    )
    connection._do_version_lookup = _no_versions
    connection._versions = {3: (0, 0)}
    await connection.connect()

    async def get(*_: object) -> AIOKafkaConnection:
        return connection

    changed = SimpleNamespace(_get_conn=get)
    read_in_place(changed)
    assert await changed._get_conn(1) is connection
    try:
        yield connection
    finally:
        assert not connection._requests
        await connection.close()
        listening.close()


async def asked(answer: Answer) -> Any:
    """What a real connection of aiokafka makes of a server's answer to a request for metadata."""
    async with connected(answer) as connection:
        assert isinstance(connection._writer.transport.get_protocol(), Frames)
        return await connection.send(MetadataRequest([]))


async def _no_versions() -> None:
    pass


EMPTY = struct.pack(">iii", 1, 0, 0)


async def _one_byte_at_a_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(4)
    for byte in framed(EMPTY):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)


async def _half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(4)
    writer.write(framed(EMPTY)[:9])


async def _out_of_step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(4)
    writer.write(struct.pack(">i", -5))
    await reader.read()


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _half(reader, writer)
    # closed like this the system sends a reset, not an end
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _undecodable(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(4)
    writer.write(framed(EMPTY[:-1]))
    await reader.read()


def test_a_connection_reads_an_answer_in_place() -> None:
    """The request's future gets the decoded answer."""
    answer = asyncio.run(asked(_one_byte_at_a_time))
    assert (answer.brokers, answer.topics) == ([], [])


@pytest.mark.parametrize("answer", [_half, _out_of_step, _reset, _undecodable])
def test_a_connection_that_breaks_is_told(answer: Answer) -> None:
    """A request that was sent must not wait for an answer that will not come."""
    with pytest.raises(KafkaConnectionError):
        asyncio.run(asyncio.wait_for(asked(answer), 5))


async def _half_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _half(reader, writer)
    await reader.read()


async def _closed_with_requests_open() -> list[object]:
    async with connected(_half_for_ever) as connection:
        sent = [asyncio.ensure_future(connection.send(MetadataRequest([]))) for _ in range(3)]
        while connection._writer.transport.get_protocol()._frame is None:
            await asyncio.sleep(0)
        connection.close()
        return await asyncio.gather(*sent, return_exceptions=True)


def test_a_close_within_a_frame_is_told_to_all_who_wait() -> None:
    """As a time-out does it: no part of an answer is given to anybody."""
    told = asyncio.run(asyncio.wait_for(_closed_with_requests_open(), 5))
    assert [type(one) for one in told] == [KafkaConnectionError] * 3


REQUESTS = 10


async def _all_then_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers = []
    for _ in range(REQUESTS):
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        (sent_as,) = struct.unpack_from(">i", await reader.readexactly(size), 4)
        answers.append(framed(struct.pack(">iii", sent_as, 0, 0)))
    writer.write(b"".join(answers))
    writer.transport.abort()


def without_certificates(purpose: int) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


async def _answers_before_the_end(*, tls: bool) -> list[Any]:
    contexts = [without_certificates(it) for it in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT) if tls]
    async with connected(_all_then_the_end, *contexts) as connection:
        return await asyncio.gather(*(connection.send(MetadataRequest([])) for _ in range(REQUESTS)))


@pytest.mark.parametrize("tls", [False, True])
def test_answers_that_came_before_the_end_are_read(tls: bool) -> None:
    """asyncio's TLS loses all but one of them when it is read frame by frame."""
    answers = asyncio.run(asyncio.wait_for(_answers_before_the_end(tls=tls), 5))
    assert [answer.brokers for answer in answers] == [[]] * REQUESTS
