"""How to connect to Kafka: one value, for every client of workers and of commands."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Where Kafka is, what a client calls itself, and how long it waits for an answer, in milliseconds.

    `addresses` are host:port, one at least, else ValueError. TLS, SASL and users will join here.
    """

    addresses: tuple[str, ...]
    client_id: str = "songlo"
    request_ms: int = 30_000

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("Kafka needs the address of at least one broker: host:port")

    @classmethod
    def at(cls, addresses: str, **rest: Any) -> "KafkaAccess":
        """Access by `host:port,host:port`."""
        return cls(tuple(filter(None, addresses.split(","))), **rest)

    def __str__(self) -> str:
        return ", ".join(self.addresses)

    def options(self) -> dict[str, Any]:
        """What each client is given to connect; aiokafka and kafka-python have the same names for it."""
        return {
            "bootstrap_servers": list(self.addresses),
            "client_id": self.client_id,
            "request_timeout_ms": self.request_ms,
        }
