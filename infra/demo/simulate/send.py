"""Sends a simulated day in real time."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from infra.demo.simulate.generate import Sent
from infra.kafka.lines import LineMessage, LineReader


class EventSender(Protocol):
    """Where messages go."""

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Send one message."""


@dataclass(slots=True)
class SendCounts:
    """What has been sent so far; `behind_ms` is how late the last message was sent."""

    messages: int = 0
    broken: int = 0
    behind_ms: int = 0


def send_in_time(
    messages: Iterable[Sent],
    readers: Mapping[str, LineReader],
    sender: EventSender,
    tally: SendCounts,
    now_ms: Callable[[], int],
    sleep: Callable[[float], object],
) -> None:
    """Send each message when its time has come; at once where that has passed.

    `readers` by stream must be raw ones: they find the keys, also of broken messages. `sleep` takes
    seconds; sending stops when it returns something true.
    """
    for sent in messages:
        ahead_ms = sent.send_ms - now_ms()
        if ahead_ms > 0 and sleep(ahead_ms / 1000):
            return
        reader = readers[sent.stream]
        message = reader.read(0, sent.value)
        if isinstance(message, LineMessage):
            sender.send(reader.spec.topic, message.key, message.value)
            tally.messages += 1
            tally.broken += not sent.valid
            tally.behind_ms = max(0, -ahead_ms)
