"""The first packet of ClickHouse's native protocol: read, asked about by HTTP, refused in its own language.

The embedded engine aborts after a Hello that it refuses, so that one with an unknown user must not reach it.
"""

import asyncio
import base64
from dataclasses import dataclass
from urllib.parse import quote

from infra.stack.process.ports import HOST

LARGEST_HELLO = 64 * 1024
UNEXPECTED_PACKET = 101
ANSWER_SECONDS = 10.0


class NotHelloError(ValueError):
    """What a client said first is no Hello of the native protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a client says it is."""

    database: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class HelloRefusal:
    """The server's error, as it is sent to clients."""

    code: int
    message: str

    def packet(self) -> bytes:
        """An Exception packet."""
        strings = ("DB::Exception", self.message, "")
        return b"\x02" + self.code.to_bytes(4, "little") + b"".join(map(_string, strings)) + b"\x00"


def parse_hello(data: bytes) -> Hello | None:
    """The Hello that `data` begins with, None when more is needed. Raises NotHelloError."""
    if data[:1] != b"\x00":
        raise NotHelloError(f"the first packet is of type {data[0]}, not a Hello")
    try:
        at = _skip_string(data, 1)
        for _ in range(3):  # version, revision
            _, at = _varint(data, at)
        texts = []
        for _ in range(3):
            end = _skip_string(data, at)
            _, begin = _varint(data, at)
            texts.append(data[begin:end].decode())
            at = end
    except IndexError:
        if len(data) > LARGEST_HELLO:
            raise NotHelloError("a Hello of more than 64 KiB") from None
        return None
    except UnicodeDecodeError as e:
        raise NotHelloError(f"a name in the Hello is not UTF-8: {e}") from None
    return Hello(*texts)


async def ask(hello: Hello, http_port: int) -> HelloRefusal | None:
    """What ClickHouse objects to in this Hello, None when it is welcome. Raises OSError when it is away."""
    login = base64.b64encode(f"{hello.user or 'default'}:{hello.password}".encode()).decode()
    request = (
        f"GET /?query=SELECT%201&database={quote(hello.database, safe='')} HTTP/1.1\r\n"
        f"Host: {HOST}\r\nAuthorization: Basic {login}\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(ANSWER_SECONDS):  # TimeoutError is an OSError
        reader, writer = await asyncio.open_connection(HOST, http_port)
        try:
            writer.write(request.encode("ascii"))
            answer = await reader.read(LARGEST_HELLO)
            while more := await reader.read(LARGEST_HELLO):
                answer += more
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode("latin-1").split("\r\n")
    if status.split(" ")[1:2] == ["200"]:
        return None
    found = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in headers)}
    code = found.get("x-clickhouse-exception-code", "")
    if not code.isdecimal():
        raise ConnectionError(f"ClickHouse answers {status!r}")
    return HelloRefusal(int(code), body.decode(errors="replace").strip())


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise NotHelloError("a number of more than 64 bits")


def _skip_string(data: bytes, at: int) -> int:
    size, at = _varint(data, at)
    if size > LARGEST_HELLO:
        raise NotHelloError("a Hello of more than 64 KiB")
    if at + size > len(data):
        raise IndexError
    return at + size


def _string(text: str) -> bytes:
    data, size = text.encode(), len(text.encode())
    prefix = bytearray()
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(prefix) + bytes([size]) + data
