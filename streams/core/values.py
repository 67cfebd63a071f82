"""The values that cross the seams of the core, all times in epoch milliseconds unless a name says seconds."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.core.late import LateEvents, Position
from streams.core.rows import Rows

OFFSET_BITS = 48


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """One Kafka record batch: the messages of consecutive offsets with the append time that they share.

    `offsets` is given only where the batch has gaps (compacted or aborted messages left out, or a
    batch without messages); `next_offset` is the first offset after the batch, gaps included. `keys` are
    those of the messages; without them none has one.
    """

    base_offset: int
    next_offset: int
    append_ms: int
    values: Sequence[bytes | None]
    offsets: Sequence[int] | None = None
    keys: Sequence[bytes | None] | None = None


@dataclass(frozen=True, slots=True)
class PackedBatches:
    """Kafka record batches as they stand in the log, one behind the other: of format v2, uncompressed.

    They are the bytes of `data` from `start` to before `end`, headers included; `data` may hold more, since
    a copy would cost more than folding what is in it. With `cut_bytes` it is one batch, which was unpacked up
    to a bit more than so many bytes, and has more.
    """

    base_offset: int
    next_offset: int
    data: bytes
    start: int
    end: int
    cut_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CompressedBatch:
    """One record batch of format v2 as it stands in the log, whose records (`number`) are compressed.

    `codec` is Kafka's number of the compression; the records are what follows the header in `data`.
    """

    base_offset: int
    next_offset: int
    append_ms: int
    codec: int
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """Messages of the log that can't be read, or not within bounds: all of them together are one refusal.

    They are the offsets from `base_offset` to before `next_offset`; `raw` are their bytes, as far as they are
    kept, and `reason` is a sentence for whoever reads the dead letter.
    """

    base_offset: int
    next_offset: int
    append_ms: int
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition has been folded; a function of the log up to `next_offset`.

    `replay_from` is the first offset of any pane still open (`next_offset` when none is).
    `max_event_ms` and `max_append_ms` are the highest times seen, from which the watermark follows;
    without both, a restarted worker would close panes at other offsets than one that never stopped.
    `topic_id` is Kafka's own, which another topic of the same name has not; empty when it is not known.
    `homes` is the number of partitions by which homes of events are reckoned (see `streams.core.home`; 0:
    they are not, each counts where it is), and `forward` whether `strays` are sent home. Those that are not
    count where they are, `away` of them so far, repeats among them.
    """

    stream: str
    topic: str
    partition: int
    epoch: int = 0
    next_offset: int = 0
    replay_from: int = 0
    pane_ms: int = 60_000
    watermark_ms: int = 0
    max_event_ms: int = 0
    max_append_ms: int = 0
    folded: int = 0
    duplicates: int = 0
    late: int = 0
    dead: int = 0
    topic_id: str = ""
    homes: int = 0
    forward: bool = True
    strays: int = 0
    away: int = 0

    @property
    def version(self) -> int:
        """A higher position, or a higher epoch, wins."""
        return version_of(self.epoch, self.next_offset)


@dataclass(frozen=True, slots=True)
class ClosedPane:
    """The ids of a pane that the watermark has closed: sorted 64-bit hashes (`array('Q')`)."""

    window_start_ms: int
    ids: "array[int]"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event, or a whole message that can't be decoded (index 0), with the reason and the raw bytes."""

    offset: int
    index: int
    append_ms: int
    field: str
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Noted:
    """Refused events of one message of which only the places are kept: their indexes (`array('I')`).

    `source` names, for people, who spent its share of dead letters: printable, at most 64 characters.
    """

    offset: int
    append_ms: int
    source: str
    indexes: "array[int]"


@dataclass(frozen=True, slots=True)
class StrayMessage:
    """A message to be sent to the partition `home`: so many events that belong there, as a bundle."""

    home: int
    value: bytes
    events: int


@dataclass(frozen=True, slots=True)
class PaneIds:
    """What is known of a closed pane: the ids folded on time, and where each late id was met first.

    That place is (version, index), the version made of epoch and offset: a topic that was recreated begins
    its offsets anew.
    """

    on_time: Sequence[int] = ()
    late: dict[int, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """All that one partition has to flush, captured together with its position.

    The late events may hold duplicates, and `progress` does not count them, until a flush looks them up;
    after it they are new events only, and `progress` counts them all.
    """

    progress: Progress
    rows: Rows
    closed: list[ClosedPane]
    late: LateEvents
    dead: list[DeadLetter]
    noted: list[Noted] = field(default_factory=list)
    strays: list[StrayMessage] = field(default_factory=list)


def version_of(epoch: int, offset: int) -> int:
    """The version of a row: the epoch in the high 16 bits, the offset in the low 48."""
    return epoch << OFFSET_BITS | offset
