"""The seam to the store of windows: what a worker needs of it, and how it may fail.

SinkError
├── SinkUnavailable   the network or the server is away: try again, every write is idempotent
├── SinkSetBack       the store has lost what it had acknowledged: start again from what it has
├── SinkFenced        others have gone on from what the store has, without this writer: start again from it
└── SinkRejected      the server refuses, and will refuse again: stop and show the message
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from streams.core.breaker import Breaker
from streams.core.home import Homes
from streams.core.values import Changes, PaneIds, Progress
from streams.spec import StreamSpec


class SinkError(Exception):
    """The store did not do what was asked."""


class SinkUnavailable(SinkError):
    """A passing failure; the same call may be made again."""


class SinkSetBack(SinkError):
    """The store has lost what it had acknowledged, as one restored from an older copy has."""


class SinkFenced(SinkError):
    """The store takes nothing more from before a rehoming; see `streams.rehome`."""


class SinkRejected(SinkError):
    """A failure that will not heal by itself; the message says what to do."""


class Sink(Protocol):
    """A store of windows. Calls block and come from one thread; each `put_*` is idempotent.

    The caller owns the order (see `streams.worker.flush.steps`): rows, ids, late, dead, noted, sending,
    then strays are sent home, then progress.
    Each `put_*` takes the settled changes of one stream and writes its own part of them.
    """

    def progress(self, topic: str, partitions: Iterable[int]) -> dict[int, Progress]:
        """The newest progress of each partition that has one."""

    def pane_ids(self, topic: str, wanted: Mapping[int, Collection[int]]) -> dict[tuple[int, int], PaneIds]:
        """Known ids by (partition, window_start_ms) of the panes wanted by partition; absent: none known.

        As many as there are: a worker asks `known_ids` instead.
        """

    def known_ids(
        self, topic: str, asked: Mapping[tuple[int, int], Collection[int]]
    ) -> dict[tuple[int, int], PaneIds]:
        """Of the ids asked for by (partition, window_start_ms) those that are known; absent: none known."""

    def put_rows(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write window rows, and the late events' own rows, to the stream's table."""

    def put_ids(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write the ids of closed panes."""

    def put_late(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Register late events, so that their duplicates are found."""

    def put_dead(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write dead letters."""

    def put_noted(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write the places of refused events that are only noted; of one message the last written stay."""

    def put_sending(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write that the strays of these changes are about to be sent home.

        Once they are, nothing can be refused any more: a worker from before a rehoming is stopped here.
        """

    def put_progress(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write how far each partition has come; after this the changes count as flushed."""

    def homes(self, topic: str) -> list[Homes]:
        """What was decided on homes of this topic's events, in order of `change`; of all topic ids."""

    def put_homes(self, homes: Homes) -> None:
        """Store a decision, unless there is one of this topic, topic id and change: the first stays for good.

        Whoever wants to know which one that is asks `homes` afterwards.
        """

    def breakers(self) -> dict[str, Breaker]:
        """The switch of each stream that was ever paused, by the stream's name."""

    def put_breaker(self, breaker: Breaker) -> None:
        """Write a switch; the highest number of changes wins."""

    def close(self) -> None:
        """Leave the store."""
