"""What commands and the live view ask of ClickHouse, by HTTP."""

from collections.abc import Iterator
from typing import Any

import orjson

from infra.settings.addresses import http_address, native_address
from infra.settings.values import Settings
from sinks.clickhouse import ClickHouseAccess
from sinks.query import stream_query

PROGRESS = (
    "SELECT stream, topic, partition, next_offset, toUnixTimestamp64Milli(watermark) AS watermark_ms, "
    "folded, duplicates, late, dead, strays, away FROM stream_progress ORDER BY topic, partition"
)

EPOCHS = "SELECT topic, max(epoch) AS epoch FROM progress GROUP BY topic"


def http_server(settings: Settings) -> ClickHouseAccess:
    """ClickHouse's HTTP side; raises NoStackError when its address is not known."""
    return _server(settings, http_address(settings))


def native_server(settings: Settings) -> ClickHouseAccess:
    """ClickHouse's native side; raises NoStackError when its address is not known."""
    return _server(settings, native_address(settings))


def rows(server: ClickHouseAccess, sql: str) -> list[dict[str, Any]]:
    """The answer as one dict for each row; 64-bit integers as int. Raises SinkError."""
    return list(_decoded(server, f"{sql} SETTINGS output_format_json_quote_64bit_integers = 0"))


def _decoded(server: ClickHouseAccess, sql: str) -> Iterator[dict[str, Any]]:
    answer = b"".join(stream_query(server, sql, "JSONEachRow"))
    yield from (orjson.loads(line) for line in answer.splitlines())


def _server(settings: Settings, address: str) -> ClickHouseAccess:
    return ClickHouseAccess.at(
        address,
        database=settings.clickhouse_database,
        user=settings.clickhouse_user,
        password=settings.clickhouse_password,
        receive_s=settings.clickhouse_seconds,
    )
