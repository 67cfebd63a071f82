"""What was refused, in words: a line for each minute and reason, and for each source that is held back.

No I/O here, and no payload: of a reason only what is the same for all is told, and of a source its key.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.core.refusals import TOLD, RefusalSummary
from streams.core.refusals import Told as Count
from streams.core.shapes import longest_piece
from streams.worker.values import Partition

MINUTE_S = 60.0
SHOWN = 160
# (stream, field, shape of the reason)
Reason = tuple[str, str, str]


@dataclass(slots=True)
class _Told:
    """Refusals with one reason, and the place of one of them."""

    count: int = 0
    noted: int = 0
    example: str = ""


@dataclass(slots=True)
class Telling:
    """Gathers refusals, and gives them as lines once a minute; at most `TOLD` reasons and sources by name."""

    _reasons: dict[Reason, _Told] = field(default_factory=dict)
    _held: dict[tuple[str, str], int] = field(default_factory=dict)
    _next_s: float = 0.0

    def add(self, stream: str, partition: Partition, refused: RefusalSummary) -> None:
        """Gather what a batch of a partition has refused."""
        for (name, shape), count in refused.reasons.items():
            self._add_reason((stream, name, shape), partition, count)
        for source, noted in refused.held.items():
            who = (stream, source)
            who = who if who in self._held or len(self._held) < TOLD else (stream, "others")
            self._held[who] = self._held.get(who, 0) + noted

    def lines(self, now_s: float, *, rest: bool = False) -> Iterator[str]:
        """What to say now: of nothing gathered, or before the minute is over, nothing, but for the `rest`."""
        if not self._reasons or (now_s < self._next_s and not rest):
            return
        reasons, held, self._reasons, self._held = self._reasons, self._held, {}, {}
        self._next_s = now_s + MINUTE_S
        for reason, told in reasons.items():
            yield _reason_line(reason, told)
        for (stream, source), noted in held.items():
            yield (
                f"stream {stream}: source {source!r} has spent its share of dead letters, of {noted:,} more "
                f"refused events only the places are noted: songlo dlq fetch --stream {stream}"
            )

    def _add_reason(self, reason: Reason, partition: Partition, more: Count) -> None:
        known = reason in self._reasons or len(self._reasons) < TOLD
        told = self._reasons.setdefault(reason if known else (reason[0], "", "other reasons"), _Told())
        told.count += more.count
        told.noted += more.noted
        told.example = f"{partition[0]}/{partition[1]}/{more.offset}/{more.index}"


def _reason_line(reason: Reason, told: _Told) -> str:
    stream, name, shape = reason
    why = f"{name}: {shape}" if name else shape
    noted = f", {told.noted:,} of them only noted" if told.noted else ""
    look = f"songlo dlq list --stream {stream}"
    if piece := longest_piece(shape)[:SHOWN] if shape != "other reasons" else "":
        look += f" --reason {shlex.quote(piece)}"
    return (
        f"stream {stream}: {told.count:,} refused{noted}: {why[:SHOWN]}; one is {told.example}; look: {look}"
    )
