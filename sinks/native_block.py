"""Packed columns on the wire as they are: the one module that reaches into clickhouse-driver.

The driver makes the bytes of each column from a list of Python's values, two microseconds a row. Packed
columns are those bytes, so that only a block's frame is left to write. What of the driver is relied upon
is in tests/contract/test_driver_seams.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
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
# pieces of so many bytes are not copied any more
LARGE = 32_768


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
        out = self.connection.fout
        write_varint(ClientPacketTypes.DATA, out)
        write_binary_str("", out)
        BlockInfo().write(out)
        write_varint(len(wire), out)
        write_varint(rows, out)
        for name, kind, pieces in wire:
            write_binary_str(name, out)
            write_binary_str(kind, out)
            # the usual serialization
            write_binary_uint8(0, out)
            for piece in pieces:
                if len(piece) < LARGE:
                    # the driver's buffer takes nothing but bytes, and does not say so
                    out.write(bytes(piece))
                else:
                    out.flush()
                    self._send_large(memoryview(piece))
        out.flush()

    def _send_large(self, piece: memoryview) -> None:
        """Part by part: the time that may pass is for each call."""
        for at in range(0, len(piece), BUFFER_SIZE):
            self.connection.socket.sendall(piece[at : at + BUFFER_SIZE])


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
