"""What an attacker sends through an ordinary producer: bundles from the future or of too many, bursts."""

from collections.abc import Callable
from functools import cache
from random import Random

import orjson
import xxhash

from tests.chaos.events import DAY_MS, Event

# an event at a time in milliseconds
NewEvent = Callable[[int], Event]
# the values of some messages, of a time
Attack = Callable[[Random, int, NewEvent], list[bytes]]

MINUTE_MS, FROM_2000_MS = 60_000, 946_684_800_000
MINUTES_OF_25_YEARS = 25 * 365 * 24 * 60
# more than a message may hold; and ids that are alike in so many bits, and how many of them
TOO_MANY, LIKE_BITS, LIKE_IDS = 10_001, 9, 64
# attackers, whose messages have keys of their own
SOURCES = 3


def future(rng: Random, now_ms: int, new: NewEvent) -> list[bytes]:
    """A bundle that is hours ahead of any clock."""
    ahead_ms = now_ms + 60 * DAY_MS
    return [orjson.dumps([new(ahead_ms + n) for n in range(rng.randrange(10, 40))])]


def too_many(_rng: Random, _now_ms: int, _new: NewEvent) -> list[bytes]:
    """A message of more events than any gateway sends."""
    return [b"[" + b"0," * (TOO_MANY - 1) + b"0]"]


def ancient(rng: Random, _now_ms: int, new: NewEvent) -> list[bytes]:
    """A bundle of which each event is of another window, minutes or months apart."""
    first_ms = FROM_2000_MS + rng.randrange(MINUTES_OF_25_YEARS) * MINUTE_MS
    step_ms = rng.choice((MINUTE_MS, 20 * DAY_MS))
    last_ms = FROM_2000_MS + MINUTES_OF_25_YEARS * MINUTE_MS
    times = [first_ms + n * step_ms for n in range(rng.randrange(10, 60))]
    return [orjson.dumps([new(at_ms) for at_ms in times if at_ms < last_ms])]


def chosen(rng: Random, now_ms: int, new: NewEvent) -> list[bytes]:
    """Events whose ids have hashes with the same low bits."""
    return [orjson.dumps([new(now_ms) | {"event_id": name} for name in rng.sample(alike(), 20)])]


def burst(rng: Random, _now_ms: int, _new: NewEvent) -> list[bytes]:
    """Garbage of one source, one behind the other."""
    return [rng.randbytes(40) or b"0" for _ in range(rng.randrange(10, 30))]


@cache
def alike() -> list[str]:
    """Ids whose hashes end in the same bits."""
    found, number = list[str](), 0
    while len(found) < LIKE_IDS:
        name = f"like-{number}"
        if not xxhash.xxh3_64_intdigest(name.encode()) & (1 << LIKE_BITS) - 1:
            found.append(name)
        number += 1
    return found


# by the name of their share in a plan
ATTACKS: dict[str, Attack] = {
    "future": future, "too_many": too_many, "ancient": ancient, "chosen": chosen, "burst": burst,
}  # fmt: skip
