"""The guard reads a client's Hello byte by byte as it comes, and refuses in ClickHouse's own language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.stack.clickhouse.hello import Hello, HelloRefusal, NotHelloError, parse_hello


def varint(value: int) -> bytes:
    """LEB128, as ClickHouse writes lengths."""
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def text(value: str) -> bytes:
    """A string as ClickHouse writes it."""
    data = value.encode()
    return varint(len(data)) + data


def packet(hello: Hello, revision: int = 54_468) -> bytes:
    """A Hello as a client sends it."""
    head = b"\x00" + text("a client") + varint(24) + varint(1) + varint(revision)
    return head + text(hello.database) + text(hello.user) + text(hello.password)


HELLOS = st.builds(Hello, st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))


@given(HELLOS, st.integers(0, 2**63 - 1))
def test_a_hello_is_read_as_it_was_written(hello: Hello, revision: int) -> None:
    """Whatever the names, and whatever follows it."""
    assert parse_hello(packet(hello, revision)) == hello
    assert parse_hello(packet(hello, revision) + b"\x01more") == hello


@given(HELLOS, st.data())
def test_part_of_a_hello_asks_for_more(hello: Hello, data: st.DataObject) -> None:
    """A Hello may come in any pieces."""
    whole = packet(hello)
    cut = data.draw(st.integers(1, len(whole) - 1))
    assert parse_hello(whole[:cut]) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "type 71"),
        (b"\x00" + varint(1 << 40), "64 KiB"),
        (b"\x00" + b"\x80" * 11, "64 bits"),
        (b"\x00" + text("c") + bytes(3) + b"\x02\xff\xfe" + text("u") + text("p"), "UTF-8"),
    ],
)
def test_what_is_no_hello_is_said(said: bytes, why: str) -> None:
    """Scanners and browsers come by; the reason names what was wrong."""
    with pytest.raises(NotHelloError, match=why):
        parse_hello(said)


def test_a_refusal_is_an_exception_packet() -> None:
    """Type 2, code, name, message, no stack, nothing nested."""
    message = "Đ" * 100  # two bytes each, so the length takes two bytes
    expected = b"\x02" + (81).to_bytes(4, "little") + text("DB::Exception") + text(message) + b"\x00\x00"
    assert HelloRefusal(81, message).packet() == expected
