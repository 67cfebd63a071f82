"""Two public settings of Faust through which agents receive whole polls instead of single messages.

Faust spends about 100 microseconds on each item that it hands to an agent; with one item for each
partition and poll, that is shared by thousands of events.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import faust
from faust.types import TP
from faust.types.transports import SchedulingStrategyT

from streams.worker.values import Fetched


class Poll:
    """All that one poll brought of one partition, in the shape of the record that Faust expects."""

    __slots__ = ("offset", "partition", "topic", "value")

    # what a poll does not have; Faust copies these into its own message
    timestamp = None
    timestamp_type = None
    headers = None
    key = None
    checksum = None
    serialized_key_size = 0
    serialized_value_size = 0

    def __init__(self, tp: TP, value: list[Fetched]) -> None:
        self.topic, self.partition = tp
        self.value = value
        # Faust drops what lies below its read offset: the last offset of the poll, never the first
        self.offset = value[-1].batch.next_offset - 1


class PollScheduler(SchedulingStrategyT):  # type: ignore[misc] # Faust has no types here
    """Yields one `Poll` for each partition; the setting is `ConsumerScheduler`."""

    def iterate(self, records: Mapping[TP, list[Fetched]]) -> Iterator[tuple[TP, Poll]]:
        """One item for each partition of the poll."""
        for tp, fetched in records.items():
            if fetched:
                yield tp, Poll(tp, fetched)


class PollSchema(faust.Schema):  # type: ignore[misc] # Faust has no types here
    """Hands the list of `Fetched` to the agent as it is; the events are decoded by the fold."""

    def loads_key(self, *_: Any, **__: Any) -> None:
        """A poll has no key."""

    def loads_value(self, _app: Any, message: Any, **_: Any) -> list[Fetched]:
        """The value as it came from the fetcher."""
        fetched: list[Fetched] = message.value
        return fetched
