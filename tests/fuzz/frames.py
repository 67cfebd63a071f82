"""Records and batches as bytes, right or wrong as wished: what cases and seeds are made of."""

import struct
from zlib import crc32

from crc32c import crc32c

from streams.core.records import BEFORE_LENGTH, HEADER, MAGIC, framed, varint

MAGIC_AT, CRC_AT, LAST_AT = 16, 17, 23
# numbers of records and last deltas: a byte counts up to these, then come the bounds of 32 bits
SPECIAL = {0x7E: (1 << 31) - 1, 0x7F: 1 << 30, -0x80: -(1 << 31)}
# what differs between copies: a number of three digits, ascending, or of no order
ASCENDING, MIXED = b"~", b"`"
# few most of the time, since each takes some microseconds in both folds
COPIES = (2, 2, 3, 3, 5, 5, 9, 9, 18, 18, 40, 40, 90, 90, 280, 900)


def record(delta: int, key: bytes | None, value: bytes | None) -> bytes:
    """One record, without headers."""
    body = b"\0\0" + varint(delta)
    for part in (key, value):
        body += b"\1" if part is None else varint(len(part)) + part
    return varint(len(body) + 1) + body + b"\0"


def of_records(body: bytes, position: int, append_ms: int) -> tuple[bytes, int]:
    """The batch of records that follow their number and the last one's delta; the offset after it."""
    number, last = struct.unpack("bb", body[:2].ljust(2, b"\0"))
    following = position + max(-1, SPECIAL.get(last, last)) + 1
    batch = bytearray(framed(position, following, append_ms, SPECIAL.get(number, number), body[2:]).data)
    struct.pack_into(">i", batch, LAST_AT, SPECIAL.get(last, last))
    return bytes(batch), following


def put_right(body: bytes, position: int) -> bytes:
    """A batch with the length and checksum that it has, at this offset."""
    batch = bytearray(body.ljust(HEADER.size, b"\0"))
    struct.pack_into(">qi", batch, 0, position, len(batch) - BEFORE_LENGTH)
    if batch[MAGIC_AT] < MAGIC:
        struct.pack_into(">I", batch, BEFORE_LENGTH, crc32(batch[MAGIC_AT:]))
    else:
        struct.pack_into(">I", batch, CRC_AT, crc32c(bytes(batch[CRC_AT + 4 :])))
    return bytes(batch)


def copies_of(value: bytes, number: int) -> list[bytes]:
    """So many copies, at most 900, each with numbers of its own."""
    return [
        value.replace(ASCENDING, b"%d" % (100 + i)).replace(MIXED, b"%d" % (100 + i * i * 37 % 900))
        for i in range(number)
    ]
