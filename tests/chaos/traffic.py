"""Seeded traffic as bad as traffic gets: late, repeated, out of order, ahead of its time, broken, bundled.

Event times run from `now_ms - span_ms` to `now_ms`, faster than they are sent, with leaps over hours.
The same seed gives the same messages, their times relative to `now_ms`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

import orjson

from infra.kafka.partitioner import partition_of
from tests.chaos.poison import POISON

MINUTE_MS, DAY_MS = 60_000, 86_400_000
# of the span, what passes smoothly; the rest is leapt over
SMOOTH = 0.3
NEAR, RECENT, OLD = 30, 5000, 2000
# where event times come near to the present, no edge can be foreseen: the append time counts too
PRESENT_MS = 10 * MINUTE_MS

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One Kafka message; without a value it is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent; shares are weights against each other. `name` keeps the ids of several feeds apart."""

    seed: int
    now_ms: int
    messages: int
    name: str = "e"
    span_ms: int = 180 * MINUTE_MS
    leaps: int = 3
    partitions: int = 3
    pane_ms: int = MINUTE_MS
    disorder_ms: int = 2 * MINUTE_MS
    plain: float = 0.66
    bundle: float = 0.06
    again: float = 0.14
    late: float = 0.05
    edge: float = 0.04
    skewed: float = 0.02
    poison: float = 0.03


class Traffic:
    """Yields the messages of a plan in the order of sending."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rng = Random(plan.seed)  # noqa: S311  # a test's traffic, not a secret
        self._leaps = sorted(self._rng.randrange(1, max(2, plan.messages)) for _ in range(plan.leaps))
        self._recent: deque[Message] = deque(maxlen=RECENT)
        self._old: list[Message] = []
        self._sent = 0
        self._ids = 0
        # the newest event time of each (topic, partition), as its reader will know it
        self._newest: dict[tuple[str, int], int] = {}

    def __iter__(self) -> Iterator[Message]:
        plan, kinds = self._plan, self._kinds()
        names, weights = list(kinds), list(accumulate(getattr(plan, name) for name in kinds))
        while self._sent < plan.messages:
            (name,) = self._rng.choices(names, cum_weights=weights)
            for message in kinds[name](self._clock()):
                self._sent += 1
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
        }

    def _clock(self) -> int:
        plan = self._plan
        done = min(1.0, self._sent / plan.messages)
        leapt = sum(at <= self._sent for at in self._leaps) / plan.leaps if plan.leaps else 0.0
        smooth = SMOOTH if plan.leaps else 1.0
        return plan.now_ms - plan.span_ms + int(plan.span_ms * (smooth * done + (1 - smooth) * leapt))

    def _plain(self, now_ms: int) -> list[Message]:
        return [self._one(*self._event(now_ms - int(self._rng.random() * self._plan.disorder_ms * 0.9)))]

    def _bundle(self, now_ms: int) -> list[Message]:
        topic, first = self._event(now_ms - self._rng.randrange(self._plan.disorder_ms))
        bundle: list[Event] = [first]
        for _ in range(self._rng.randrange(1, 6)):
            back_ms = self._rng.randrange(2 * self._plan.disorder_ms)
            bundle.append(self._event(now_ms - back_ms, topic)[1])
        if self._rng.random() < 0.3:
            bundle.append(self._rng.choice(bundle))
        if self._rng.random() < 0.3:
            bundle.insert(self._rng.randrange(len(bundle)), {"event_id": "no event"})
        return [self._remember(Message(topic, _key(topic, first), orjson.dumps(bundle)))]

    def _again(self, now_ms: int) -> list[Message]:
        """A message of a moment, some panes or hours ago, byte by byte."""
        if not self._recent:
            return self._plain(now_ms)
        how = self._rng.randrange(3)
        if how == 0:
            return [self._recent[-self._rng.randrange(1, min(NEAR, len(self._recent)) + 1)]]
        return [self._rng.choice(self._recent if how == 1 else self._old)]

    def _late(self, now_ms: int) -> list[Message]:
        """An event whose pane has closed, now and then by hours."""
        plan = self._plan
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
        plan, rng = self._plan, self._rng
        topic, event = self._event(now_ms)
        newest = self._newest.get(self._place(topic, event), 0)
        if not newest or now_ms > plan.now_ms - PRESENT_MS:
            return [self._one(topic, event)]
        key_field = _KEYS[topic]
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
            messages.append(self._one(topic, at_edge))
        return messages

    def _poison(self, now_ms: int) -> list[Message]:
        topic, event = self._event(now_ms)
        broken = self._rng.choice(list(POISON.values()))(self._rng, event)
        return [Message(topic, _key(topic, event), broken)]

    def _event(self, at_ms: int, topic: str | None = None) -> tuple[str, Event]:
        self._ids += 1
        topic = topic or self._rng.choice(list(_MAKERS))
        base = {"event_id": f"{self._plan.name}/{self._ids}", "occurred_at": at_ms}
        return topic, base | _MAKERS[topic](self._rng, at_ms)

    def _one(self, topic: str, event: Event) -> Message:
        place, at_ms = self._place(topic, event), event["occurred_at"]
        if at_ms <= self._plan.now_ms:
            self._newest[place] = max(self._newest.get(place, 0), at_ms)
        if self._rng.random() < 0.05:
            event = event | {"occurred_at": _text(at_ms)}
        return self._remember(Message(topic, _key(topic, event), orjson.dumps(event)))

    def _place(self, topic: str, event: Event) -> tuple[str, int]:
        return topic, partition_of(_key(topic, event), self._plan.partitions)

    def _remember(self, message: Message) -> Message:
        self._recent.append(message)
        if len(self._old) < OLD:
            self._old.append(message)
        elif (at := self._rng.randrange(self._ids)) < OLD:
            self._old[at] = message
        return message


def _text(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return (at + timedelta(hours=7)).isoformat(timespec="milliseconds").replace("+00:00", "+07:00")


def _key(topic: str, event: Event) -> bytes:
    return str(event[_KEYS[topic]]).encode()


def _camera(rng: Random, _at_ms: int) -> Event:
    number = rng.randrange(6)
    event: Event = {
        "ward_code": f"0220{number % 3}",
        "camera_id": f"cam-{number}",
        "kind": "vehicle",
        "count": rng.randrange(1, 9),
    }
    if rng.random() < 0.5:
        event |= {"speed_kmh": round(rng.random() * 90, 1), "object_class": "xe máy"}
    return event


def _service(rng: Random, at_ms: int) -> Event:
    case = rng.randrange(40)
    event: Event = {
        "ward_code": f"0220{case % 3}",
        "case_id": f"case-{case}",
        "procedure_code": f"1.{case % 2}",
        "office_code": f"oso-{case % 3}",
        "channel": rng.choice(("online", "counter")),
        "action": rng.choice(("returned", "returned", "fee_paid")),
    }
    if rng.random() < 0.7:
        submitted = at_ms - rng.randrange(14 * DAY_MS)
        event |= {
            "submitted_at": submitted,
            "due_at": submitted + 7 * DAY_MS,
            "fee_vnd": rng.randrange(2**53),
        }
    return event


def _qr(rng: Random, _at_ms: int) -> Event:
    number = rng.randrange(6)
    return {
        "ward_code": f"0220{number % 3}",
        "merchant_id": f"shop-{number}",
        "merchant_category": "market",
        "provider": rng.choice(("vietqr", "momo")),
        "succeeded": rng.randrange(10),
        "failed": rng.randrange(3),
        "amount_vnd": rng.randrange(2**53),
    }


_MAKERS: dict[str, Callable[[Random, int], Event]] = {
    "camera.events": _camera,
    "service.transactions": _service,
    "qr.payments": _qr,
}
_KEYS = {"camera.events": "camera_id", "service.transactions": "case_id", "qr.payments": "merchant_id"}
