"""How to connect to Kafka: one value, and no client that is made without it."""

from pathlib import Path

import pytest

from streams.kafka_access import KafkaAccess

ROOT = Path(__file__).resolve().parents[2]


def test_addresses_are_told_apart() -> None:
    """As SONGLO_BROKERS has them; a comma too many names no broker."""
    kafka = KafkaAccess.at("a:1,[::1]:2,", client_id="me", request_ms=5)
    assert kafka == KafkaAccess(("a:1", "[::1]:2"), "me", 5)
    assert str(kafka) == "a:1, [::1]:2"


def test_each_client_is_given_all_of_it() -> None:
    """By the names that both libraries have."""
    assert KafkaAccess(("a:1", "b:2"), "me", 5).options() == {
        "bootstrap_servers": ["a:1", "b:2"], "client_id": "me", "request_timeout_ms": 5,
    }  # fmt: skip


@pytest.mark.parametrize("nothing", ["", ","])
def test_without_an_address_it_is_refused(nothing: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="at least one broker: host:port"):
        KafkaAccess.at(nothing)


def test_no_client_is_made_without_it() -> None:
    """What is added to it, such as TLS, must reach every connection."""
    files = (path for room in ("infra", "sinks", "streams") for path in (ROOT / room).rglob("*.py"))
    found = [p.relative_to(ROOT).as_posix() for p in files if "bootstrap_servers" in p.read_text("utf-8")]
    assert found == ["streams/kafka_access.py"]
