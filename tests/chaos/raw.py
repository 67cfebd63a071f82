"""Record batches as no ordinary client writes them, and a way to append them to Kafka's log as they are."""

import gzip
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cramjam
from crc32c import crc32c

from streams.core.records import BEFORE_LENGTH, HEADER, MAGIC, varint

CRC_AT, ATTRIBUTES_AT = 17, 21
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
NO_RECORD_TIME = b"\0"


def as_it_is(records: bytes) -> bytes:
    """Not compressed."""
    return records


def xerial(data: bytes, block: int = 32 * 1024) -> bytes:
    """Snappy as Java frames it."""
    blocks = [bytes(cramjam.snappy.compress_raw(data[i : i + block])) for i in range(0, len(data), block)]
    header = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
    return header + b"".join(struct.pack(">i", len(each)) + each for each in blocks)


COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    NONE: as_it_is,
    GZIP: gzip.compress,
    SNAPPY: xerial,
    # as Java and librdkafka write it: Kafka reads no blocks that depend on each other
    LZ4: lambda data: bytes(_lz4(data)),
    ZSTD: lambda data: bytes(cramjam.zstd.compress(data, level=3)),
}


def _lz4(data: bytes) -> bytes:
    compressor = cramjam.lz4.Compressor(level=1, content_checksum=False, block_linked=False)
    compressor.compress(data)
    return bytes(compressor.finish())


def longer(number: int, excess: int) -> bytes:
    """A varint in five bytes whose bits beyond the 32nd are `excess` (0 to 7): Kafka drops them."""
    left = (number << 1 if number >= 0 else ~number << 1 | 1) & 0xFFFFFFFF
    low = bytes(left >> shift & 0x7F | 0x80 for shift in (0, 7, 14, 21))
    return low + bytes([left >> 28 | excess << 4])


def text(value: bytes | None) -> bytes:
    """A key or a value behind its size."""
    return b"\1" if value is None else varint(len(value)) + value


def record(
    value: bytes | None,
    delta: int | bytes,
    *,
    key: bytes | None = None,
    headers: bytes = b"\0",
    at: bytes = NO_RECORD_TIME,
    sized: Callable[[int], bytes] = varint,
    value_sized: Callable[[int], bytes] = varint,
) -> bytes:
    """One record; a delta of bytes stands as it is, and `sized` writes the record's length."""
    place = delta if isinstance(delta, bytes) else varint(delta)
    body = b"\0" + at + place + text(key)
    body += (b"\1" if value is None else value_sized(len(value)) + value) + headers
    return sized(len(body)) + body


def header(key: bytes, value: bytes | None) -> bytes:
    """The headers of a record that has this one."""
    return varint(1) + text(key) + text(value)


def batch(
    records: Sequence[bytes] | bytes,
    *,
    base: int = 0,
    number: int | None = None,
    last: int | None = None,
    codec: int = NONE,
    append_ms: int = 0,
    first_ms: int | None = None,
) -> bytes:
    """A batch of these records with the right checksum; compressed here unless `records` are bytes."""
    number = len(records) if number is None else number
    last = number - 1 if last is None else last
    first_ms = append_ms if first_ms is None else first_ms
    packed = records if isinstance(records, bytes) else COMPRESS[codec](b"".join(records))
    length = HEADER.size - BEFORE_LENGTH + len(packed)
    made = bytearray(
        HEADER.pack(base, length, 0, MAGIC, 0, codec, last, first_ms, append_ms, -1, -1, -1, number) + packed
    )
    made[CRC_AT : CRC_AT + 4] = crc32c(bytes(made[ATTRIBUTES_AT:])).to_bytes(4)
    return bytes(made)


def append_batch(brokers: str, topic: str, partition: int, batch_bytes: bytes) -> int:
    """Append a batch as it is; its first offset in the log. Raises ValueError with the number of an error."""
    for broker in brokers.split(","):
        error, offset = _produce(broker, topic, partition, batch_bytes)
        if error != NOT_LEADER:
            break
    if error:
        raise ValueError(f"{topic}[{partition}]: error {error}")
    return offset


PRODUCE, VERSION, ALL_REPLICAS, TIMEOUT_MS, NOT_LEADER = 0, 7, -1, 30_000, 6


def _produce(broker: str, topic: str, partition: int, records: bytes) -> tuple[int, int]:
    host, _, port = broker.rpartition(":")
    name = struct.pack(">h", len(topic)) + topic.encode()
    request = struct.pack(">hhih4shhi", PRODUCE, VERSION, 1, 4, b"test", -1, ALL_REPLICAS, TIMEOUT_MS)
    request += struct.pack(">i", 1) + name + struct.pack(">iii", 1, partition, len(records)) + records
    with socket.create_connection((host, int(port)), TIMEOUT_MS / 1000) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = _exactly(connection, *struct.unpack(">i", _exactly(connection, 4)))
    # after the request's number, one topic and its name: one partition and its number
    error, offset = struct.unpack_from(">hq", answer, 4 + 4 + len(name) + 4 + 4)
    return error, offset


def _exactly(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        if not (more := connection.recv(size - len(read))):
            raise ConnectionError("the broker closed the connection")
        read += more
    return read


def bomb(codec: int, size: int, *, where: str = "value", filler: bytes = b" ") -> bytes:
    """The compressed records of a batch of one, whose value, key or header has `size` bytes of filler."""
    before = {
        "value": NO_RECORD_TIME + b"\0\1" + varint(size),
        "key": NO_RECORD_TIME + b"\0" + varint(size),
        "header": NO_RECORD_TIME + b"\0\1\1" + varint(1) + varint(1) + b"h" + varint(size),
    }[where]
    behind = {"value": b"\0", "key": b"\1\0", "header": b""}[where]
    body = 1 + len(before) + size + len(behind)
    head = varint(body) + b"\0" + before
    whole, rest = divmod(size, 1 << 20)
    return streamed(codec, [head, *[filler * (1 << 20)] * whole, filler * rest, behind])


def streamed(codec: int, pieces: Iterable[bytes]) -> bytes:
    """Pieces compressed one after the other, so that their whole need not be there."""
    if codec == SNAPPY:
        blocks = [bytes(cramjam.snappy.compress_raw(piece)) for piece in pieces]
        return xerial(b"") + b"".join(struct.pack(">i", len(each)) + each for each in blocks)
    makers: dict[int, Callable[[], Any]] = {
        GZIP: lambda: cramjam.gzip.Compressor(level=6),
        LZ4: lambda: cramjam.lz4.Compressor(level=1, content_checksum=False, block_linked=False),
        ZSTD: lambda: cramjam.zstd.Compressor(level=3),
    }
    compressor, packed = makers[codec](), bytearray()
    for piece in pieces:
        compressor.compress(piece)
        packed += bytes(compressor.flush())
    return bytes(packed + bytes(compressor.finish()))
