"""Packed columns on the wire as they are: the one module that reaches into clickhouse-driver.

The driver makes the bytes of each column from a list of Python's values, two microseconds a row. Packed
columns are those bytes, so that only a block's frame is left to write. What of the driver is relied upon
is in tests/contract/libraries.
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
from clickhouse_driver.defines import BUFFER_SIZE, DBMS_MIN_PROTOCOL_VERSION_WITH_INCREMENTAL_PROFILE_EVENTS
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str

from sinks.wire import Wire, as_wire
from streams.core.packed import Bytes, Packed

# the last one of the protocol in which a server does not report what each query, and each block of an insert,
# has cost: nobody reads that here, and every block would wait for it; columns have no serialization kind yet
REVISION = DBMS_MIN_PROTOCOL_VERSION_WITH_INCREMENTAL_PROFILE_EVENTS - 1
# servers cast numbers that come in another type than the column's since 2024; tested with 26.7
CASTING = (25, 3)
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
        server = self.connection.server_info
        wanted, casting = sample_block.columns_with_types, server.version_tuple() >= CASTING
        wires = [wire for block in data if (wire := as_wire(wanted, block.columns, casting=casting))]
        if len(wires) < len(data):
            columns = zip(*(block.columns for block in data), strict=True)
            values = [[*chain.from_iterable(parts)] for parts in columns]
            return super().send_data(sample_block, values, types_check, columnar)
        rows = [len(block.columns[0]) for block in data]
        for wire, number in zip(wires, rows, strict=True):
            self._send_block(wire, number)
        self.connection.send_data(ColumnOrientedBlock())
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
