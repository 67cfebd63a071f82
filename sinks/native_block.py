"""Packed columns on the wire as they are: the one module that reaches into clickhouse-driver.

The driver makes the bytes of each column from a list of Python's values, two microseconds a row. Packed
columns are those bytes, so that only a block's frame is left to write. What of the driver is relied upon
is in tests/contract/test_driver_seams.py.
"""

from collections.abc import Sequence
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.defines import DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8

from streams.core.packed import Layout, Packed

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

# (name, type, bytes) of each column
Wire = list[tuple[str, str, bytes]]


class PackedClient(Client):  # type: ignore[misc]  # the driver has no types
    """A client whose inserts take packed columns, when all of them are."""

    def send_data(
        self, sample_block: Any, data: Sequence[Any], types_check: bool = False, columnar: bool = False
    ) -> Any:
        """The rows of an insert; in place of the driver's when the columns are packed."""
        if not columnar or not all(isinstance(column, Packed) for column in data):
            return super().send_data(sample_block, data, types_check, columnar)
        revision = self.connection.server_info.used_revision
        wire = as_wire(sample_block.columns_with_types, data)
        if wire is None or revision < DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION:
            return super().send_data(sample_block, [column.values for column in data], types_check, columnar)
        self._send_block(wire, len(data[0]))
        self.receive_profile_events()
        self.connection.send_data(ColumnOrientedBlock())
        self.receive_profile_events()
        return len(data[0])

    def _send_block(self, wire: Wire, rows: int) -> None:
        out = self.connection.fout
        write_varint(ClientPacketTypes.DATA, out)
        write_binary_str("", out)
        BlockInfo().write(out)
        write_varint(len(wire), out)
        write_varint(rows, out)
        for name, kind, column in wire:
            write_binary_str(name, out)
            write_binary_str(kind, out)
            # the usual serialization
            write_binary_uint8(0, out)
            out.write(column)
        out.flush()


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
        wire.append((name, fitting[1], b"".join((sent.ends, sent.data))))
    return wire


def is_time(kind: str) -> bool:
    """Whether a type is that of seconds since 1970."""
    return kind == "DateTime" or kind.startswith("DateTime(")
