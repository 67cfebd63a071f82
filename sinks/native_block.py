"""Packed columns on the wire as they are: the one module that reaches into clickhouse-driver.

The driver makes the bytes of each column from a list of Python's values, two microseconds a row. Packed
columns are those bytes, so that only a block's frame is left to write. What of the driver is relied upon
is in tests/contract/test_driver_seams.py.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice
from socket import socket
from ssl import SSLSocket
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.defines import BUFFER_SIZE, DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8

from streams.core.packed import Bytes, Layout, Packed

# a column of the server -> the layout that it takes, and the type to name on the wire
_FITTING = {
    "UInt16": (Layout.U16, "UInt16"),
    "UInt32": (Layout.U32, "UInt32"),
    "UInt64": (Layout.U64, "UInt64"),
    "UInt128": (Layout.U128, "UInt128"),
    "String": (Layout.TEXT, "String"),
    # the server makes the dictionary, as for clients that know of none
    "LowCardinality(String)": (Layout.TEXT, "String"),
    "Array(UInt64)": (Layout.LISTS, "Array(UInt64)"),
}

# (name, type, pieces of its bytes) of each column
Wire = list[tuple[str, str, tuple[Bytes, Bytes]]]
# of one call; Linux takes 1024
MOST_PARTS = 512


@dataclass(frozen=True, slots=True)
class PackedBlock:
    """The columns of some rows of an insert."""

    columns: Sequence[Packed]


class PackedClient(Client):  # type: ignore[misc]  # the driver has no types
    """A client whose inserts take packed blocks: a list of `PackedBlock` in place of the columns."""

    def send_data(
        self, sample_block: Any, data: Sequence[Any], types_check: bool = False, columnar: bool = False
    ) -> Any:
        """The rows of an insert; in place of the driver's when they are packed."""
        if not data or not all(isinstance(block, PackedBlock) for block in data):
            return super().send_data(sample_block, data, types_check, columnar)
        revision = self.connection.server_info.used_revision
        wires = [wire for block in data if (wire := as_wire(sample_block.columns_with_types, block.columns))]
        if len(wires) < len(data) or revision < DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION:
            columns = zip(*(block.columns for block in data), strict=True)
            values = [[*chain.from_iterable(parts)] for parts in columns]
            return super().send_data(sample_block, values, types_check, columnar)
        rows = [len(block.columns[0]) for block in data]
        for wire, number in zip(wires, rows, strict=True):
            self._send_block(wire, number)
            self.receive_profile_events()
        self.connection.send_data(ColumnOrientedBlock())
        self.receive_profile_events()
        return sum(rows)

    def _send_block(self, wire: Wire, rows: int) -> None:
        head = BytesIO()
        write_varint(ClientPacketTypes.DATA, head)
        write_binary_str("", head)
        BlockInfo().write(head)
        write_varint(len(wire), head)
        write_varint(rows, head)
        parts: list[Bytes] = [head.getvalue()]
        for name, kind, pieces in wire:
            head = BytesIO()
            write_binary_str(name, head)
            write_binary_str(kind, head)
            # the usual serialization
            write_binary_uint8(0, head)
            parts += [head.getvalue(), *pieces]
        # the driver's buffer takes nothing but bytes, and does not say so; what is in it goes first
        self.connection.fout.flush()
        send_parts(self.connection.socket, parts)


def send_parts(sock: socket, parts: Iterable[Bytes]) -> None:
    """Send them one behind the other without copying them; the socket's time-out is for each call."""
    waiting = deque(memoryview(part) for part in parts if len(part))
    # which has no sendmsg
    if isinstance(sock, SSLSocket):
        for part in waiting:
            for at in range(0, len(part), BUFFER_SIZE):
                sock.sendall(part[at : at + BUFFER_SIZE])
        return
    while waiting:
        sent = sock.sendmsg(islice(waiting, MOST_PARTS))
        while waiting and sent >= len(waiting[0]):
            sent -= len(waiting.popleft())
        if sent:
            waiting[0] = waiting[0][sent:]


def as_wire(wanted: Sequence[tuple[str, str]], columns: Sequence[Packed]) -> Wire | None:
    """The columns for the (name, type) pairs that the server wants; None where one has another type."""
    if len(wanted) != len(columns) or len({column.length for column in columns}) > 1:
        return None
    wire = []
    for (name, kind), column in zip(wanted, columns, strict=True):
        fitting = (Layout.U32, kind) if is_time(kind) else _FITTING.get(kind)
        if fitting is None:
            return None
        wide = fitting[0] is Layout.U128 and column.layout is Layout.U64
        sent = column.widened() if wide else column
        if fitting[0] is not sent.layout:
            return None
        wire.append((name, fitting[1], (sent.ends, sent.data)))
    return wire


def is_time(kind: str) -> bool:
    """Whether a type is that of seconds since 1970."""
    return kind == "DateTime" or kind.startswith("DateTime(")
