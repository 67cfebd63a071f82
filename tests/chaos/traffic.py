"""Seeded traffic as bad as traffic gets: late, repeated, out of order, ahead of its time, broken, bundled.

Some producers go by murmur2, some by CRC32 as librdkafka does, some send without keys, and a repeat may come
from another one than the event: events are in any partition. Bundles hold events of several homes.
Event times run from `now_ms - span_ms` to `now_ms`, faster than they are sent, with leaps over hours.
The same seed gives the same messages, their times relative to `now_ms`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from random import Random
from zlib import crc32

import orjson

from streams.core.home import partition_of
from tests.chaos.attacks import ATTACKS, SOURCES, Attack
from tests.chaos.events import DAY_MS, KEYS, MAKERS, Event, as_text, key_of
from tests.chaos.poison import POISON

MINUTE_MS = 60_000
# of the span, what passes smoothly; the rest is leapt over
SMOOTH = 0.3
NEAR, RECENT, OLD = 30, 5000, 2000
# where event times come near to the present, no edge can be foreseen: the append time counts too
PRESENT_MS = 10 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Message:
    """One Kafka message; without a value it is a tombstone, without a partition it goes by its key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None

    def sent_to(self, partitions: int) -> int:
        """The partition that it goes to, of so many."""
        if self.partition is not None:
            return self.partition
        return partition_of(self.key or b"", partitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent; shares are weights against each other. `name` keeps the ids of several feeds apart.

    `crc32` and `keyless` are the shares that come by another partitioner, and without keys.
    """

    seed: int
    now_ms: int
    messages: int
    name: str = "e"
    span_ms: int = 180 * MINUTE_MS
    leaps: int = 3
    partitions: int = 3
    pane_ms: int = MINUTE_MS
    disorder_ms: int = 2 * MINUTE_MS
    crc32: float = 0.33
    keyless: float = 0.07
    plain: float = 0.66
    bundle: float = 0.06
    again: float = 0.14
    late: float = 0.05
    edge: float = 0.04
    skewed: float = 0.02
    poison: float = 0.03
    future: float = 0.002
    too_many: float = 0.002
    ancient: float = 0.002
    chosen: float = 0.003
    burst: float = 0.002


class Traffic:
    """Yields the messages of a plan in the order of sending."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rng = Random(plan.seed)  # noqa: S311  # a test's traffic, not a secret
        self._leaps = sorted(self._rng.randrange(1, max(2, plan.messages)) for _ in range(plan.leaps))
        # messages by their own keys, and the newest event time in each
        self._recent: deque[tuple[Message, int]] = deque(maxlen=RECENT)
        self._old: list[tuple[Message, int]] = []
        self._count = 0
        self._ids = 0
        # the newest event time of each (topic, partition), as its reader will know it
        self._newest: dict[tuple[str, int], int] = {}

    def __iter__(self) -> Iterator[Message]:
        plan, kinds = self.plan, self._kinds()
        names, weights = list(kinds), list(accumulate(getattr(plan, name) for name in kinds))
        while self._count < plan.messages:
            (name,) = self._rng.choices(names, cum_weights=weights)
            for message in kinds[name](self.clock()):
                self._count += 1
                yield message

    def _kinds(self) -> dict[str, Callable[[int], list[Message]]]:
        return {
            "plain": self._plain,
            "bundle": self._bundle,
            "again": self._again,
            "late": self._late,
            "edge": self._edge,
            "skewed": self._skewed,
            "poison": self._poison,
            **{name: partial(self._attack, make) for name, make in ATTACKS.items()},
        }

    def clock(self) -> int:
        """How far event times have come."""
        plan = self.plan
        done = min(1.0, self._count / plan.messages)
        leapt = sum(at <= self._count for at in self._leaps) / plan.leaps if plan.leaps else 0.0
        smooth = SMOOTH if plan.leaps else 1.0
        return plan.now_ms - plan.span_ms + int(plan.span_ms * (smooth * done + (1 - smooth) * leapt))

    def _plain(self, now_ms: int) -> list[Message]:
        return [self._one(*self._event(now_ms - int(self._rng.random() * self.plan.disorder_ms * 0.9)))]

    def _bundle(self, now_ms: int) -> list[Message]:
        topic, first = self._event(now_ms - self._rng.randrange(self.plan.disorder_ms))
        bundle: list[Event] = [first]
        for _ in range(self._rng.randrange(1, 6)):
            back_ms = self._rng.randrange(2 * self.plan.disorder_ms)
            bundle.append(self._event(now_ms - back_ms, topic)[1])
        if self._rng.random() < 0.3:
            bundle.append(self._rng.choice(bundle))
        if self._rng.random() < 0.3:
            bundle.insert(self._rng.randrange(len(bundle)), {"event_id": "no event"})
        newest_ms = max(event.get("occurred_at", 0) for event in bundle)
        return [self._remember(Message(topic, key_of(topic, first), orjson.dumps(bundle)), newest_ms)]

    def _again(self, now_ms: int) -> list[Message]:
        """A message of a moment, some panes or hours ago, byte by byte, by any producer."""
        if not self._recent:
            return self._plain(now_ms)
        how = self._rng.randrange(3)
        if how == 0:
            return [self._sent(*self._recent[-self._rng.randrange(1, min(NEAR, len(self._recent)) + 1)])]
        return [self._sent(*self._rng.choice(self._recent if how == 1 else self._old))]

    def _late(self, now_ms: int) -> list[Message]:
        """An event whose pane has closed, now and then by hours."""
        plan = self.plan
        back_ms = plan.disorder_ms + plan.pane_ms + int(plan.span_ms * self._rng.random() ** 3)
        return [self._one(*self._event(now_ms - back_ms))]

    def _skewed(self, now_ms: int) -> list[Message]:
        """Devices whose clocks are a day off, or ahead of Kafka's by less than what is allowed."""
        device, off_ms = self._rng.choice((("fast", DAY_MS), ("slow", -DAY_MS), ("early", 200_000)))
        topic, event = self._event(now_ms + off_ms, "camera.events")
        event["camera_id"] = f"cam-{device}"
        return [self._one(topic, event)]

    def _edge(self, now_ms: int) -> list[Message]:
        """Events to the millisecond around the close of a pane, and around the allowed disorder."""
        plan, rng = self.plan, self._rng
        topic, event = self._event(now_ms)
        newest = self._newest.get((topic, self._home(key_of(topic, event))), 0)
        if not newest or now_ms > plan.now_ms - PRESENT_MS:
            return [self._one(topic, event)]
        key_field = KEYS[topic]
        closing = (newest - plan.disorder_ms) // plan.pane_ms * plan.pane_ms + plan.pane_ms
        if rng.random() < 0.5:
            times = [newest - plan.disorder_ms + by_ms for by_ms in (0, -1, 1)]
        else:
            # the pane that closes next: it stays open at 1 ms before, and is closed at its end
            times = [
                closing + plan.disorder_ms + rng.choice((-1, 0, 1)),
                closing - 1,
                closing,
                closing - plan.pane_ms,
            ]
        messages = []
        for at_ms in times:
            _, at_edge = self._event(at_ms, topic)
            at_edge[key_field] = event[key_field]
            # only at home it is known where the edge is
            messages.append(self._one(topic, at_edge, at_home=True))
        return messages

    def _poison(self, now_ms: int) -> list[Message]:
        topic, event = self._event(now_ms)
        broken = self._rng.choice(list(POISON.values()))(self._rng, event)
        return [self._routed(Message(topic, key_of(topic, event), broken))]

    def _attack(self, make: Attack, now_ms: int) -> list[Message]:
        """Messages of one attacker, all in one partition."""
        topic, key = self._rng.choice(list(MAKERS)), b"attacker-%d" % self._rng.randrange(SOURCES)
        return [Message(topic, key, v) for v in make(self._rng, now_ms, partial(self.event, topic=topic))]

    def event(self, at_ms: int, topic: str) -> Event:
        """One more event of the topic."""
        return self._event(at_ms, topic)[1]

    def _event(self, at_ms: int, topic: str | None = None) -> tuple[str, Event]:
        self._ids += 1
        topic = topic or self._rng.choice(list(MAKERS))
        base = {"event_id": f"{self.plan.name}/{self._ids}", "occurred_at": at_ms}
        return topic, base | MAKERS[topic](self._rng, at_ms)

    def _one(self, topic: str, event: Event, *, at_home: bool = False) -> Message:
        at_ms = event["occurred_at"]
        if self._rng.random() < 0.05:
            event = event | {"occurred_at": as_text(at_ms)}
        message = Message(topic, key_of(topic, event), orjson.dumps(event))
        return self._remember(message, at_ms, at_home=at_home)

    def _home(self, key: bytes) -> int:
        return partition_of(key, self.plan.partitions)

    def _remember(self, message: Message, newest_ms: int, *, at_home: bool = False) -> Message:
        self._recent.append((message, newest_ms))
        if len(self._old) < OLD:
            self._old.append((message, newest_ms))
        elif (at := self._rng.randrange(self._ids)) < OLD:
            self._old[at] = message, newest_ms
        return self._sent(message, newest_ms, at_home=at_home)

    def _sent(self, message: Message, newest_ms: int, *, at_home: bool = False) -> Message:
        """The message as one of the producers sends it, whose time is known there then, and soon at home."""
        sent = message if at_home else self._routed(message)
        if newest_ms <= self.plan.now_ms:
            for one in (message, sent):
                place = one.topic, one.sent_to(self.plan.partitions)
                self._newest[place] = max(self._newest.get(place, 0), newest_ms)
        return sent

    def _routed(self, message: Message) -> Message:
        plan, which = self.plan, self._rng.random()
        if which < plan.crc32:
            return replace(message, partition=crc32(message.key or b"") % plan.partitions)
        # a client may refuse a message of neither
        if which < plan.crc32 + plan.keyless and message.value is not None:
            return replace(message, key=None, partition=self._rng.randrange(plan.partitions))
        return message
