"""Which errors of a producer are for good, and what to do about each, in a sentence."""

from aiokafka import errors

from streams.kafka_access import KafkaAccess

_NOT_ALLOWED = (errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
REFUSED = (
    *_NOT_ALLOWED,
    *_TOO_LARGE,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.UnsupportedForMessageFormatError,
    errors.UnsupportedVersionError,
    errors.IncompatibleBrokerVersion,
)
# worth another try, with a producer that knows nothing of the last one
PASSING = (errors.KafkaError, OSError, TimeoutError)

_OTHERWISE = (
    "Or let strays count where they are: stop all workers, run `SONGLO_STRAYS=count songlo topics --rehome`, "
    "and start them again with that setting"
)


def sentence(topic: str, kafka: KafkaAccess, error: Exception) -> str:
    """Why strays of a topic can't be sent home, and what to do."""
    if isinstance(error, _NOT_ALLOWED):
        return f"{_not_allowed(topic, kafka, error)}. {_OTHERWISE}"
    if isinstance(error, _TOO_LARGE):
        return (
            f"{topic}: events of other partitions can't be sent home, since the topic's max.message.bytes is "
            "below the 64 kB that a message of them may have: `songlo topics` sets it, and this worker then "
            "goes on where it stopped"
        )
    return f"{topic}: events of other partitions can't be sent home, Kafka refuses: {error!r}. {_OTHERWISE}"


def no_such_home(topic: str, home: int, partitions: int) -> str:
    """Kafka has fewer partitions than homes are reckoned by."""
    return (
        f"{topic}: partition {home} is the home of some events, but Kafka says that there are {partitions}: "
        "stop all workers, run `songlo topics --rehome`, and start them again"
    )


def _not_allowed(topic: str, kafka: KafkaAccess, error: Exception) -> str:
    # idempotent producers need a right of their own before Kafka 2.8; later whoever may write has it
    cluster = isinstance(error, errors.ClusterAuthorizationFailedError)
    right = "--operation IdempotentWrite --cluster" if cluster else f"--operation Write --topic {topic}"
    return (
        f"{topic}: Kafka does not let this worker send events of other partitions home: allow it with "
        f"`kafka-acls.sh --bootstrap-server {kafka.addresses[0]} --add --allow-principal User:NAME {right}`, "
        "where User:NAME is the worker's own"
    )
