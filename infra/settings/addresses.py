"""Where Kafka and ClickHouse are: as set, else as the running local stack says."""

import json
from typing import Any

from infra.settings.values import InvalidSettingError, NoStackError, Settings, variable
from streams.kafka_access import KafkaAccess


def kafka_access(settings: Settings, client_id: str = "songlo") -> KafkaAccess:
    """How to connect to Kafka; raises NoStackError when its address is neither set nor known."""
    found = settings.brokers or _running(settings, "broker", "address", "brokers")
    return KafkaAccess.at(found, client_id=client_id)


def native_address(settings: Settings) -> str:
    """ClickHouse's native protocol, host:port; raises NoStackError."""
    return settings.clickhouse or _running(settings, "clickhouse", "native", "clickhouse")


def http_address(settings: Settings) -> str:
    """ClickHouse's HTTP, host:port; raises NoStackError."""
    beside = _http_beside(settings.clickhouse)
    return settings.clickhouse_http or beside or _running(settings, "clickhouse", "http", "clickhouse_http")


def _running(settings: Settings, part: str, key: str, name: str) -> str:
    address = (read_state(settings).get(part) or {}).get(key)
    if not address:
        raise NoStackError(
            f"nothing is running in {settings.home}: start it with `songlo up`, or set {variable(name)}"
        )
    return str(address)


def read_state(settings: Settings) -> dict[str, Any]:
    """The local stack's state file as it is, {} when there is none."""
    try:
        state = json.loads(settings.state_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as e:
        raise InvalidSettingError(
            f"{settings.state_file} can't be read ({e}): stop with `songlo down`, and delete it"
        ) from e
    return state if isinstance(state, dict) else {}


def _http_beside(native: str) -> str:
    host, _, _ = native.partition(",")[0].rpartition(":")
    return f"{host}:8123" if host else ""
