"""The parts of a block on their way into a socket that takes what it likes."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.native_block import MOST_PARTS, send_parts

# more than a socket's buffer holds, so that calls send a piece of a part
LARGE = 300_000


def sent(parts: list[bytes]) -> bytes:
    """What the other side gets."""
    ours, theirs = socket.socketpair()
    with theirs, ThreadPoolExecutor(1) as pool, ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.settimeout(20)
        got = pool.submit(_all, theirs)
        send_parts(ours, [memoryview(part) if n % 2 else part for n, part in enumerate(parts)])
        ours.shutdown(socket.SHUT_WR)
        return got.result()


def _all(sock: socket.socket) -> bytes:
    got = bytearray()
    while piece := sock.recv(65_536):
        got += piece
    return bytes(got)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.binary(max_size=9), st.sampled_from([0, 1, 5000, LARGE])), max_size=6))
def test_all_of_it_comes_in_order(shapes: list[tuple[bytes, int]]) -> None:
    """|a|bb||ccc..| -> abbccc.., with nothing left out, repeated or in another order."""
    parts = [head * (size or 1) for head, size in shapes]
    assert sent(parts) == b"".join(parts)


def test_more_parts_than_one_call_takes() -> None:
    """Linux refuses more than 1024 in one call."""
    parts = [str(n).encode() for n in range(3 * MOST_PARTS)]
    assert sent(parts) == b"".join(parts)


def test_a_side_that_reads_nothing_is_given_up() -> None:
    """The time-out is the socket's; the driver makes a lost connection of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.05)
        with pytest.raises(TimeoutError):
            send_parts(ours, [bytes(10_000_000)])
