"""A compressed batch is unpacked just before it is folded, up to a bound: a few kB may hold gigabytes."""

from collections.abc import Callable, Iterator

import cramjam

from streams.core.records import HEADER, framed
from streams.core.values import CompressedBatch, PackedBatches, Unread

UNPACK_BYTES = 64 * 1024 * 1024
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS: dict[int, Callable[[memoryview, memoryview], int]] = {
    GZIP: cramjam.gzip.decompress_into,
    LZ4: cramjam.lz4.decompress_into,
    ZSTD: cramjam.zstd.decompress_into,
}
# cramjam has no error of its own for it
FULL = "failed to write whole buffer"
# where unpacking begins, and how it goes on where that was too little: one and a third times the work
FIRST_BYTES, RATIO, MORE = 1 << 16, 8, 4
# Java frames snappy: a header of 16 bytes, then blocks, each after its length; headers may be met again
XERIAL, XERIAL_SIZE, LENGTH = b"\x82SNAPPY\0", 16, 4


class Damaged(Exception):
    """The data is not what its compression writes."""


def opened(
    batch: PackedBatches | CompressedBatch | Unread, most: int, letter_bytes: int
) -> PackedBatches | Unread:
    """The batch ready to be folded: a compressed one unpacked, up to `most` bytes and a bit.

    One that can't be unpacked is unread; of its bytes `letter_bytes` are kept.
    """
    if not isinstance(batch, CompressedBatch):
        return batch
    base, end, append_ms = batch.base_offset, batch.next_offset, batch.append_ms
    packed = memoryview(batch.data)[HEADER.size :]
    try:
        records, more = decompress(batch.codec, packed, most)
    except Damaged as error:
        reason = f"offsets {base} to {end - 1} can't be uncompressed: {error}"
        return Unread(base, end, append_ms, reason, bytes(packed[:letter_bytes]))
    return framed(base, end, append_ms, batch.number, records, most if more else 0)


def decompress(codec: int, data: memoryview, most: int) -> tuple[memoryview, bool]:
    """What compressed data unpacks to, and whether it is more than `most` bytes; raises Damaged.

    Of more there are up to `most` bytes and one. What the data says of its own size allocates nothing beyond.
    """
    if codec == SNAPPY:
        return _snappy(data, most)
    into = CODECS.get(codec)
    if into is None:
        raise Damaged(f"there is no compression {codec}")
    room = min(most + 1, max(FIRST_BYTES, RATIO * len(data)))
    while True:
        buffer = memoryview(bytearray(room))
        try:
            size = into(data, buffer)
        except Exception as error:
            if str(error) != FULL:
                raise Damaged(f"{error}") from error
            if room > most:
                return buffer, True
        else:
            return buffer[:size], size > most
        room = min(most + 1, MORE * room)
        # gone before there is a larger one
        del buffer


def _snappy(data: memoryview, most: int) -> tuple[memoryview, bool]:
    """Blocks one by one; one that claims to unpack to too much is left out, since none comes out in part."""
    try:
        size, more = 0, False
        for block in _blocks(data):
            claimed = cramjam.snappy.decompress_raw_len(block)
            if more := size + claimed > most:
                break
            size += claimed
        # behind what is cut a byte that no record can end with, so that the cut is met
        unpacked, at = memoryview(bytearray(b"\x80") * (size + more)), 0
        for block in _blocks(data):
            if at == size:
                break
            at += cramjam.snappy.decompress_raw_into(block, unpacked[at:size])
    except cramjam.DecompressionError as error:
        raise Damaged(f"{error}") from error
    return unpacked, more


def _blocks(data: memoryview) -> Iterator[memoryview]:
    """The blocks of Java's frames, or all of it as one."""
    if bytes(data[: len(XERIAL)]) != XERIAL:
        yield data
        return
    at = 0
    while at < len(data):
        if bytes(data[at : at + len(XERIAL)]) == XERIAL:
            at += XERIAL_SIZE
            continue
        size = int.from_bytes(data[at : at + LENGTH], signed=True)
        at += LENGTH
        if not 0 <= size <= len(data) - at:
            raise Damaged(f"snappy: a block of {size} bytes, of which {len(data) - at} are there")
        yield data[at : at + size]
        at += size
