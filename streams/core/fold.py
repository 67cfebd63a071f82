"""The fold of one Kafka partition: batches of its log in, changes to flush out.

Every decision (on time, duplicate, late, dead, which offset closes which pane) is a function of the
log alone: not of how the log is cut into batches, of the wall clock, or of when a worker crashed.
Two implementations decide alike on every input: `streams.core.plain`, and `streams.native.compiled` at a
fraction of the cost.
"""

from typing import Protocol

from streams.core.refusals import Refusals
from streams.core.values import Changes, PackedBatches, Progress, Unread

# room in which anything may wait
ENDLESS = 1 << 62

# what a fold takes: batches as they stand in the log, or the news that some can't be read
Batches = PackedBatches | Unread


class Fold(Protocol):
    """All that a worker holds of one partition.

    Built from a stored `Progress`, it expects the log from `progress.replay_from` on. Up to the stored
    `next_offset` the log only rebuilds the panes that were open there; from then on everything counts.
    """

    @property
    def position(self) -> int:
        """The next offset that it expects."""

    @property
    def replaying(self) -> bool:
        """Whether the panes that were open at the stored position are still being rebuilt."""

    @property
    def progress(self) -> Progress:
        """Where it stands. `late` counts late duplicates too, until a flush tells them apart."""

    @property
    def folded(self) -> int:
        """Events that were counted on time."""

    @property
    def events(self) -> int:
        """Events read since the partition's beginning, whatever became of them."""

    @property
    def refusals(self) -> Refusals:
        """What it has refused."""

    @property
    def pending(self) -> int:
        """About how many bytes wait to be flushed, the bound of back-pressure; 0 while nothing can be."""

    @property
    def open_bytes(self) -> int:
        """About how many bytes the open panes hold, their rows that wait to be flushed among them."""

    def fold(self, batches: Batches, room: int = ENDLESS) -> None:
        """Fold the messages of these batches that have not been folded yet, in the order of the log.

        Once `room` more bytes wait to be flushed, it stops behind the message that it is at: while `position`
        is below the batches' `next_offset`, call it again with the same ones. Raises CorruptBatch where the
        log itself is broken.
        """

    def close_all(self) -> None:
        """Close every open pane, as if the watermark had passed it; after a replay, before anything else."""

    def capture(self) -> Changes | None:
        """Take all that waits, together with the position it belongs to; None when nothing changed.

        While open panes are being rebuilt there is nothing to report that is not stored already.
        """
