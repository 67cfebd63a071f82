"""All settings as one frozen value, what each means, and what each may be.

SettingsError
├── UnknownSettingError   a SONGLO_* variable that is no setting; names the nearest one
├── InvalidSettingError   a value that can't be used; says what is expected
└── NoStackError          an address is neither set nor known from a running local stack
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

PREFIX = "SONGLO_"
HOUR_SECONDS = 3600
FOLDS = ("auto", "plain", "native")
STRAYS = ("forward", "count")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(ValueError):
    """The settings can't be used; the message names the variable and what to do."""


class UnknownSettingError(SettingsError):
    """A SONGLO_* variable that is no setting."""


class InvalidSettingError(SettingsError):
    """A setting with a value that can't be used."""


class NoStackError(SettingsError):
    """No address is set, and no local stack is running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. `brokers`, `clickhouse` and `clickhouse_http` are '' when not set: see `addresses`."""

    home: Annotated[Path, "Directory of the local stack: data, logs, state"] = Path(".songlo")
    cache: Annotated[Path, "Directory of what was downloaded; apart from the data"] = Path("~/.cache/songlo")
    brokers: Annotated[str, "Kafka: host:port,host:port (default: the local stack's)"] = ""
    clickhouse: Annotated[str, "ClickHouse, native protocol: host:port (default: the local stack's)"] = ""
    clickhouse_http: Annotated[str, "ClickHouse, HTTP: host:port (default: the local stack's)"] = ""
    clickhouse_user: Annotated[str, "ClickHouse user"] = "default"
    clickhouse_password: Annotated[str, "ClickHouse password"] = field(default="", repr=False)
    clickhouse_seconds: Annotated[int, "Silence after which an answer is given up, in seconds, 1 to 600"] = 20
    clickhouse_database: Annotated[str, "ClickHouse database of all tables and views"] = "songlo"
    group: Annotated[str, "Kafka consumer group of the workers"] = "songlo"
    partitions: Annotated[int, "Partitions of a topic that `songlo topics` creates, 1 to 4096"] = 6
    replication: Annotated[int, "Replicas of a topic that `songlo topics` creates, 1 to 15"] = 1
    retention_hours: Annotated[int, "How long Kafka keeps events, in hours, 1 to 87600"] = 168
    epoch: Annotated[int, "Raised by one to accept that a topic was recreated, 0 to 65535"] = 0
    window_seconds: Annotated[int, "Length of a base window in seconds; must divide an hour"] = 60
    disorder_seconds: Annotated[int, "Disorder that is still on time, in seconds, 0 to 86400"] = 120
    skew_seconds: Annotated[int, "How far a clock may run ahead of Kafka's, 0 to 86400"] = 300
    flush_ms: Annotated[int, "Time between two flushes to ClickHouse in milliseconds, 50 to 60000"] = 1000
    flush_most_ms: Annotated[int, "… when ClickHouse can't keep up, at most, 50 to 60000"] = 10_000
    pending_mb: Annotated[int, "What may wait for a flush in MB, and as much under way, 1 to 65536"] = 64
    open_mb: Annotated[int, "Open windows in a worker, in MB, above which it slows down, 1 to 65536"] = 1024
    bundle_events: Annotated[int, "Events in one message at most, 1 to 1000000"] = 10_000
    unpack_mb: Annotated[int, "What one compressed batch may unpack to, in MB, 1 to 2047"] = 64
    letter_kb: Annotated[int, "What is kept of the bytes of a dead letter, in kB, 1 to 65536"] = 1024
    source_letters: Annotated[int, "Dead letters of one source in a minute, 1 to 10000000"] = 1000
    session_ms: Annotated[int, "Silence after which a worker counts as dead, 1000 to 300000 ms"] = 10_000
    metadata_ms: Annotated[int, "How soon new partitions are noticed in milliseconds, 500 to 600000"] = 30_000
    breaker_percent: Annotated[int, "Share of refused events that pauses a stream, 0 (never) to 99 %"] = 50
    breaker_events: Annotated[int, "… of so many last events, 1 to 10000000"] = 10_000
    stall_seconds: Annotated[int, "How long a worker may stand still before it ends itself, 0: no bound"] = 60
    recheck_seconds: Annotated[int, "How long a log or a store that seems set back is looked at again"] = 10
    strays: Annotated[str, "Events in another partition than their home: forward or count"] = "forward"
    workers: Annotated[int, "Worker processes of the local stack, 1 to 64"] = 1
    broker_port: Annotated[int, "Preferred port of the local Kafka; another when taken"] = 9092
    clickhouse_port: Annotated[int, "Preferred native port of the local ClickHouse"] = 9000
    clickhouse_http_port: Annotated[int, "Preferred HTTP port of the local ClickHouse"] = 8123
    fold: Annotated[str, "Engine of the workers: auto, plain (Python) or native (compiled)"] = "auto"
    log_level: Annotated[str, "DEBUG, INFO, WARNING or ERROR"] = "INFO"
    debug: Annotated[bool, "1: show a traceback when a command fails"] = False
    failpoints: Annotated[str, "Tests only: points at which a worker kills itself"] = ""

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise InvalidSettingError(f"{variable(name)}={value}: must be {low} to {high}")
        if HOUR_SECONDS % self.window_seconds:
            raise InvalidSettingError(f"{variable('window_seconds')}={self.window_seconds}: must divide 3600")
        if self.fold not in FOLDS:
            raise InvalidSettingError(f"{variable('fold')}={self.fold}: must be one of {', '.join(FOLDS)}")
        if self.strays not in STRAYS:
            raise InvalidSettingError(
                f"{variable('strays')}={self.strays}: must be one of {', '.join(STRAYS)}"
            )
        if self.log_level not in LOG_LEVELS:
            raise InvalidSettingError(
                f"{variable('log_level')}={self.log_level}: must be one of {', '.join(LOG_LEVELS)}"
            )
        if not self.clickhouse_database.isidentifier() or not self.clickhouse_database.isascii():
            raise InvalidSettingError(
                f"{variable('clickhouse_database')}: letters, digits and _ only, no digit first"
            )
        for name in ("brokers", "clickhouse", "clickhouse_http"):
            for address in filter(None, getattr(self, name).split(",")):
                check_address(address, variable(name))

    @property
    def library_folder(self) -> Path:
        """Where the compiled fold is kept."""
        return self.cache / "native"

    @property
    def state_file(self) -> Path:
        """What is running locally, as JSON; written by the supervisor of the local stack."""
        return self.home / "run" / "stack.json"


_RANGES = {
    "partitions": (1, 4096),
    "replication": (1, 15),
    "retention_hours": (1, 87_600),
    "epoch": (0, 65_535),
    "window_seconds": (1, HOUR_SECONDS),
    "disorder_seconds": (0, 86_400),
    "skew_seconds": (0, 86_400),
    "flush_ms": (50, 60_000),
    "flush_most_ms": (50, 60_000),
    "pending_mb": (1, 65_536),
    "open_mb": (1, 65_536),
    "bundle_events": (1, 1_000_000),
    "unpack_mb": (1, 2047),
    "letter_kb": (1, 65_536),
    "source_letters": (1, 10_000_000),
    "session_ms": (1000, 300_000),
    "metadata_ms": (500, 600_000),
    "clickhouse_seconds": (1, 600),
    "breaker_percent": (0, 99),
    "breaker_events": (1, 10_000_000),
    "stall_seconds": (0, 86_400),
    "recheck_seconds": (1, 600),
    "workers": (1, 64),
    "broker_port": (1, 65_535),
    "clickhouse_port": (1, 65_535),
    "clickhouse_http_port": (1, 65_535),
}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def check_address(address: str, name: str) -> None:
    """Raises InvalidSettingError, naming the setting, when `address` is not host:port."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
        raise InvalidSettingError(f"{name}={address}: must be host:port")
