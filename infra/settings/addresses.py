"""Where Kafka and ClickHouse are: as set, else as the running local stack says."""

import json
from dataclasses import dataclass
from typing import Any

from infra.settings.values import InvalidSettingError, NoStackError, Settings, variable


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where Kafka and ClickHouse are: `brokers` as host:port,host:port, the others as host:port."""

    brokers: str
    clickhouse: str
    clickhouse_http: str


def addresses(settings: Settings) -> Addresses:
    """Where to find Kafka and ClickHouse: what is set, else what the local stack's state file says.

    Raises NoStackError when an address is neither set nor known.
    """
    return Addresses(broker_addresses(settings), native_address(settings), http_address(settings))


def broker_addresses(settings: Settings) -> str:
    """Kafka alone, host:port,host:port; raises NoStackError."""
    return settings.brokers or _running(settings, "broker", "address", "brokers")


def native_address(settings: Settings) -> str:
    """ClickHouse's native protocol alone, host:port; raises NoStackError."""
    return settings.clickhouse or _running(settings, "clickhouse", "native", "clickhouse")


def http_address(settings: Settings) -> str:
    """ClickHouse's HTTP alone, host:port; raises NoStackError."""
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
