"""Which record batches of a fetch are folded as they stand, in one go."""

import random

import pytest
from crc32c import crc32c

from tests.support.batches import ABORT, ATTRIBUTES_AT, CRC_AT, marker, record_batch
from tests.support.engines import library

GZIP, TRANSACTIONAL, CONTROL = 0x01, 0x10, 0x20
STOPS = 0x07 | CONTROL
MANY = 1 << 30

PLAIN = record_batch(10, [b"a", b"b"])
NEXT = record_batch(12, [b"c"] * 50)
PACKED = record_batch(62, [b"d" * 200], compression=1)
IN_TRANSACTION = record_batch(62, [b"e"], producer=7, transactional=True)
END = marker(62, 7, ABORT)
LAST = record_batch(63, [b"f"])


@pytest.mark.parametrize(
    ("batches", "stops", "most", "taken"),
    [
        pytest.param([PLAIN, NEXT], STOPS, MANY, 2, id="all"),
        pytest.param([PLAIN, NEXT, PACKED, LAST], STOPS, MANY, 2, id="up to a compressed one"),
        pytest.param([PLAIN, NEXT, END, LAST], STOPS, MANY, 2, id="up to the end of a transaction"),
        pytest.param([PLAIN, NEXT, IN_TRANSACTION, LAST], STOPS, MANY, 4, id="transactions without aborts"),
        pytest.param(
            [PLAIN, NEXT, IN_TRANSACTION], STOPS | TRANSACTIONAL, MANY, 2, id="with some up to the first"
        ),
        pytest.param([PACKED, LAST], STOPS, MANY, 0, id="none"),
        pytest.param([PLAIN, NEXT, LAST], STOPS, len(PLAIN + NEXT), 2, id="as many bytes as may be"),
        pytest.param([PLAIN, NEXT, LAST], STOPS, len(PLAIN + NEXT) - 1, 1, id="a byte less"),
        pytest.param([NEXT, LAST], STOPS, 1, 1, id="one in any case"),
        pytest.param([PLAIN, NEXT, LAST[:-1]], STOPS, MANY, 2, id="not the one that is cut off"),
        pytest.param([PLAIN, NEXT, LAST[:30]], STOPS, MANY, 2, id="nor one without a whole header"),
        pytest.param([PLAIN, NEXT, NEXT], STOPS, MANY, 1, id="up to one that the next one lies before"),
        pytest.param([PLAIN, NEXT, PLAIN[:8]], STOPS, MANY, 1, id="though only its offset is there"),
        pytest.param([], STOPS, MANY, 0, id="an empty fetch"),
    ],
)
def test_how_far_a_run_goes(batches: list[bytes], stops: int, most: int, taken: int) -> None:
    """From the first batch on, as a table."""
    end, next_offset = library().run(b"".join(batches), 0, most, stops)
    assert end == len(b"".join(batches[:taken]))
    assert next_offset == (after(batches[taken - 1]) if taken else 0)


def test_a_run_may_begin_anywhere() -> None:
    """From a batch in the middle of the fetch."""
    assert library().run(PLAIN + NEXT + LAST, len(PLAIN), MANY, STOPS) == (len(PLAIN + NEXT + LAST), 64)


def test_a_length_beyond_all_bounds_is_no_batch() -> None:
    """The largest that fits the field."""
    long = PLAIN[:8] + b"\x7f\xff\xff\xff" + PLAIN[12:]
    assert library().run(PLAIN + long, 0, MANY, STOPS)[0] in (0, len(PLAIN))
    assert library().run(long, 0, MANY, STOPS) == (0, 0)


def test_an_older_message_format_is_left_alone() -> None:
    """What is not of format 2 has another header."""
    older = bytearray(NEXT)
    older[16] = 1
    assert library().run(PLAIN + older, 0, MANY, STOPS) == (len(PLAIN), 12)


@pytest.mark.parametrize("seed", range(20))
def test_checksums_are_those_of_crc32c(seed: int) -> None:
    """Batches of all sizes, any number of them abreast; a run ends where a bit of one was turned over."""
    rng = random.Random(seed)
    sizes = [rng.randrange(400) for _ in range(rng.randrange(1, 12))]
    batches = [bytearray(record_batch(n, [rng.randbytes(size)])) for n, size in enumerate(sizes)]
    sound = len(batches)
    if rng.random() < 0.7:
        sound = rng.randrange(len(batches))
        at = rng.choice([rng.randrange(CRC_AT, ATTRIBUTES_AT), rng.randrange(61, len(batches[sound]))])
        batches[sound][at] ^= 1 << rng.randrange(8)
    expected = [crc32c(bytes(b[ATTRIBUTES_AT:])) == int.from_bytes(b[CRC_AT:ATTRIBUTES_AT]) for b in batches]
    assert expected == [i != sound for i in range(len(batches))]
    end, next_offset = library().run(b"".join(batches), 0, MANY, STOPS)
    assert (end, next_offset) == (sum(map(len, batches[:sound])), sound)


def after(batch: bytes) -> int:
    """The offset after a batch's last message."""
    return int.from_bytes(batch[:8]) + int.from_bytes(batch[23:27]) + 1
