"""Batches that no ordinary client makes, appended as they are: odd numbers, offsets, headers, and bombs.

The log does not say how they are to be read, so each bears a tag, and what a reader must find in it is
known to whoever has sent it.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from random import Random

import orjson

from infra.kafka.access import KafkaFailureError
from tests.chaos.attacks import NewEvent
from tests.chaos.raw import GZIP, LZ4, SNAPPY, ZSTD, append_batch, batch, bomb, header, longer, record
from tests.chaos.traffic import Message, Traffic

MB = 1 << 20
# what a bomb unpacks to; snappy packs no better than twentyfold
BOMBS = {GZIP: 32 * MB, SNAPPY: 8 * MB, LZ4: 32 * MB, ZSTD: 32 * MB}
# workers are to unpack less than any of them
UNPACK_MB = 4


class Unread:
    """In place of a value: all messages from there on to the end of their batch are one dead letter."""


UNREAD = Unread()
# offset within the batch, and what is there
Truth = Sequence[tuple[int, bytes | Unread]]


@dataclass(frozen=True, slots=True)
class Raw:
    """A batch that is appended as it is; `truth` is what a reader finds in it."""

    topic: str
    partition: int
    tag: int
    data: bytes
    truth: Truth

    def send(self, brokers: str) -> None:
        """Append it. Raises KafkaFailureError when Kafka did not take it, or may not have."""
        try:
            append_batch(brokers, self.topic, self.partition, self.data)
        except (OSError, ValueError, struct.error) as error:
            raise KafkaFailureError(f"{self.topic}[{self.partition}] at {brokers}: {error}") from error


def raw(rng: Random, topic: str, partition: int, now_ms: int, new: NewEvent) -> Raw:
    """One batch that no client writes."""
    kinds: list[str | int] = [*TRICKS, *BOMBS]
    name = rng.choice(kinds)
    tag = rng.getrandbits(39)
    if isinstance(name, int):
        made = batch(packed_bomb(name), number=1, codec=name, first_ms=tag)
        return Raw(topic, partition, tag, made, [(0, UNREAD)])
    values = [orjson.dumps(new(now_ms)) for _ in range(2)]
    records, truth = TRICKS[name](*values)
    return Raw(topic, partition, tag, batch(records, first_ms=tag), truth)


@cache
def packed_bomb(codec: int) -> bytes:
    """Its records, compressed once for all."""
    return bomb(codec, BOMBS[codec])


Trick = Callable[[bytes, bytes], tuple[list[bytes], Truth]]


def _whole(first: Callable[[bytes], bytes]) -> Trick:
    """Two records, of which the first is written in an odd way that Kafka reads."""
    return lambda a, b: ([first(a), record(b, 1)], [(0, a), (1, b)])


def _places(first: int, second: int) -> Trick:
    """Offsets that do not ascend one by one: from the first wrong one on nothing can be read."""
    truth: Callable[[bytes], Truth] = lambda a: [(0, UNREAD)] if first else [(0, a), (1, UNREAD)]  # noqa: E731
    return lambda a, b: ([record(a, first), record(b, second)], truth(a))


# of a number Kafka drops the bits beyond the 32nd, of a header it does not look at the key
TRICKS: dict[str, Trick] = {
    "length": _whole(lambda a: record(a, 0, sized=lambda n: longer(n, 1))),
    "delta": _whole(lambda a: record(a, longer(0, 1))),
    "value size": _whole(lambda a: record(a, 0, value_sized=lambda n: longer(n, 2))),
    "time": _whole(lambda a: record(a, 0, at=b"\x80" * 9 + b"\2")),
    "header": _whole(lambda a: record(a, 0, headers=header(b"\xff", b"\xff"))),
    "garbage without a key": lambda a, _: ([record(a, 0), record(b"{", 1)], [(0, a), (1, b"{")]),
    "0, 7": _places(0, 7),
    "-1, 0": _places(-1, 0),
    "0, 2^31-1": _places(0, 2**31 - 1),
    "0, 0": _places(0, 0),
    "1, 0": _places(1, 0),
}


def with_raw(traffic: Traffic, share: float) -> Iterator[Message | Raw]:
    """The messages, and among them as large a share of batches that no client writes."""
    plan = traffic.plan
    rng = Random(plan.seed)  # noqa: S311  # a test's traffic, not a secret
    for message in traffic:
        yield message
        if rng.random() < share:
            new = partial(traffic.event, topic=message.topic)
            yield raw(rng, message.topic, rng.randrange(plan.partitions), traffic.clock(), new)
