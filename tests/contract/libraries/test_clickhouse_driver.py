"""What `sinks.native_block` takes for granted of clickhouse-driver; fails when it changes under it."""

import hashlib
import inspect
from typing import Any

import clickhouse_driver
import pytest
from clickhouse_driver import Client, defines
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.connection import Connection
from clickhouse_driver.streams.native import BlockOutputStream

from sinks.clickhouse import ClickHouseAccess, Session
from sinks.native_block import REVISION


def fingerprint(part: Any) -> str:
    """A short hash of a function's source."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:12]


def test_the_version_is_the_one_that_was_read() -> None:
    """Everything below was read in this version; read it again before changing the number."""
    assert clickhouse_driver.__version__ == "0.2.11"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Client.send_data, "cd7905b85b95"),
        (Client.process_insert_query, "a0cf4d6e651e"),
        (Connection.send_data, "1aa95f9acde1"),
        (Connection.get_block_out_stream, "0b7a05913d34"),
        (BlockOutputStream.write, "fa3d2c75fa58"),
        (BlockInfo.write, "1fe2fbfb3592"),
        (ColumnOrientedBlock.normalize, "5757decbc97f"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_replaced_and_relied_upon_code_is_unchanged(part: Any, expected: str) -> None:
    """The first is replaced for packed columns, the rest is how it writes a block."""
    assert fingerprint(part) == expected


def test_the_protocol_is_one_without_reports_and_kinds() -> None:
    """Blocks are written as that version has them; the driver asks servers for no newer one."""
    assert defines.DBMS_MIN_PROTOCOL_VERSION_WITH_INITIAL_QUERY_START_TIME <= REVISION
    assert REVISION < defines.DBMS_MIN_PROTOCOL_VERSION_WITH_INCREMENTAL_PROFILE_EVENTS
    assert REVISION < defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
    connection = Session(ClickHouseAccess("nowhere", 9))._client.connection
    assert connection.client_revision == REVISION
