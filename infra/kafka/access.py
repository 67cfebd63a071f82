"""How commands connect to Kafka, by kafka-python, and what its failures say: the same for every client.

KafkaFailureError    Kafka could not be reached, or refused; the message says what to do
└── NotSentError     messages that may not have arrived; sending them again is safe (infra.kafka.producer)
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from streams.kafka_access import KafkaAccess
from streams.worker.client.knock import knock as anybody

# the library logs each retry to a handler that prints by default; errors reach the user as exceptions
logging.getLogger("kafka").setLevel(logging.CRITICAL)


MAX_MESSAGE_BYTES = 8_388_608
REACH_MS = 10_000
_KNOCK_S = 5.0


class KafkaFailureError(Exception):
    """Kafka could not be reached, or refused."""


def connection(kafka: KafkaAccess) -> dict[str, Any]:
    """What every client of kafka-python is given to reach Kafka."""
    return {**kafka.options(), "bootstrap_timeout_ms": REACH_MS}


def knock(kafka: KafkaAccess) -> None:
    """Raise KafkaFailureError when nobody listens: at once, where the library would try for a while."""
    try:
        anybody(kafka.addresses, _KNOCK_S)
    except OSError as e:
        raise KafkaFailureError(f"Kafka does not answer at {e}; see `songlo status`") from e


@contextmanager
def failures(kafka: KafkaAccess) -> Iterator[None]:
    """Errors of the library become KafkaFailureError."""
    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError) as e:
        raise KafkaFailureError(f"Kafka at {kafka} does not answer: {text(e)}; see `songlo status`") from e
    except KafkaError as e:
        raise KafkaFailureError(f"Kafka at {kafka}: {text(e)}") from e


def text(error: Exception) -> str:
    """One line, with the error's name."""
    name, text = type(error).__name__, " ".join(str(error).split())
    return text if text.startswith(name) else f"{name}: {text}"
