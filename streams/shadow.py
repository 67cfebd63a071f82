"""The seam to rebuilt windows, and the only safe order: progress, homes, ids, log, rows as they are, swap.

Each is read after the one before it: what was flushed in between is then either in what is read later, or
behind the position that the rebuild ends at.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from streams.core.home import first_epoch
from streams.core.rebuild import Correction, Rebuild, Span, Stored, earlier_logs, newest_closed
from streams.core.rows import Row
from streams.core.rules import Rules
from streams.core.values import Progress, RecordBatch
from streams.sink import Sink
from streams.spec import StreamSpec

Kind = Literal["missing", "surplus", "different"]
Read = Callable[[Progress], Iterable[RecordBatch]]


class CannotRebuild(Exception):
    """A rebuild would lose something, or is not sure that it would not; says what to do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a stream's view that is not what the log says.

    `missing` from the view, `surplus` in it, or `different` in its events or in `columns`.
    """

    kind: Kind
    window_start_ms: int
    dimensions: tuple[str, ...]
    events_now: int
    events_log: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The windows of a span, and the rows in them, as the view shows them against what the log says.

    `rows` are those of either, `events` those that the view shows, `late` the ones of them that would be
    folded into their windows; `shown` are the first differences, by window.
    """

    windows: int = 0
    rows: int = 0
    events: int = 0
    late: int = 0
    wrong_windows: int = 0
    missing: int = 0
    surplus: int = 0
    different: int = 0
    shown: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the views show what the log says."""
        return not self.wrong_windows


class Shadow(Protocol):
    """The windows of a stream and a span made anew beside the stored ones, seen by nobody until the swap.

    Raises SinkUnavailable or SinkRejected, as a sink does; then begin the rebuild again.
    """

    def stored(self, partition: int) -> list[Stored]:
        """The rows of the span as they are in the stream's table."""

    def corrections(self, partition: int) -> dict[int, int]:
        """Earlier corrections in the span, by window_start_ms."""

    def put(self, progress: Progress, rows: Iterable[Row], corrections: Sequence[Correction]) -> None:
        """Take one partition's rows and corrections."""

    def compare(self, limit: int) -> Comparison:
        """What the stream's view shows, of the log up to where the rebuild ends, against what was put."""

    def correct(self) -> None:
        """Write the corrections."""

    def swap_in(self) -> None:
        """Put what differs into the stream's table: all rows of a window at once, or none."""

    def close(self) -> None:
        """Leave nothing behind."""


def fill(
    sink: Sink,
    shadow: Shadow,
    spec: StreamSpec,
    rules: Rules,
    span: Span,
    progress: Progress,
    read: Read,
    *,
    accept_gap: bool = False,
) -> Iterator[str]:
    """Rebuild one partition's windows into the shadow; yields the name of each step before it is taken.

    `progress` is the stored one, and has closed the span; `read` gives the log from where it can matter up
    to `progress.next_offset`. Raises CannotRebuild.
    """
    partition = progress.partition
    homes = [h for h in sink.homes(spec.topic) if h.topic_id == progress.topic_id]
    yield "rebuild.before_ids"
    known = sink.pane_ids(spec.topic, {partition: span.panes(progress.pane_ms)})
    ids_by_start = {start_ms: ids for (_, start_ms), ids in known.items()}
    rebuild = Rebuild(spec, rules, progress, span, ids_by_start, homes)
    # of these only what counts is kept
    del known, ids_by_start
    yield "rebuild.before_log"
    for batch in read(progress):
        rebuild.fold(batch)
    yield "rebuild.before_rows"
    stored = shadow.stored(partition)
    first = first_epoch(homes, progress.topic_id, progress.epoch)
    _check(stored, progress, first, accept_gap)
    corrections = list(rebuild.corrections(shadow.corrections(partition)))
    yield "rebuild.before_put"
    shadow.put(progress, rebuild.rows(stored), corrections)


def swap(shadow: Shadow) -> Iterator[str]:
    """Swap the shadow in; yields the name of each step before it is taken.

    Corrections first: when it ends between the two, the next rebuild writes them again.
    """
    yield "rebuild.before_corrections"
    shadow.correct()
    yield "rebuild.before_swap"
    shadow.swap_in()


def _check(stored: Sequence[Stored], progress: Progress, first: int, accept_gap: bool) -> None:
    place = f"{progress.topic}[{progress.partition}]"
    if (newest := newest_closed(stored, progress)) > progress.version:
        raise CannotRebuild(
            f"{place}: these windows were rebuilt up to version {newest} already, but the stored progress is "
            f"at {progress.version}: it is out of date, try again when the workers have caught up"
        )
    if (lost := earlier_logs(stored, first)) and not accept_gap:
        raise CannotRebuild(
            f"{place}: {lost:,} events of these windows came from an earlier log of this topic, which is "
            "gone: a rebuild would lose them. Choose other windows, or accept it: --accept-gap"
        )
