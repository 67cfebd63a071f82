"""What one partition refuses: the first of each source in a minute with their bytes, of the rest the places.

A refused event has up to two sources: the key of its message, and what its bytes say in the field that keys
the stream. One gateway that sends garbage spends its own share and nobody else's.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.codec import Refusal
from streams.core.limits import Limits
from streams.core.message import Message
from streams.core.shapes import safe_shape
from streams.core.values import DeadLetter, Noted

MINUTE_MS = 60_000
# what is kept of a source's name, and where in a refused event it is looked for
SOURCE_BYTES, LOOKED_AT = 64, 4096
# sources of a minute that are told apart; all others share one count
SOURCES = 4096
# sources that a tally tells apart; reasons and sources that are told of by name
TALLIED, TOLD = 100, 20
# what a letter weighs in memory beside its bytes; a message that is noted, and each of its indexes
LETTER_BYTES, NOTED_BYTES, INDEX_BYTES = 800, 350, 4
# the source of what has no key and none that can be read, and that of all beyond SOURCES
NO_KEY, OTHERS = b"", b"\0others"
OTHER_REASONS = ("", "other reasons")

# of a refused event: the key of its message, and its own
Sources = tuple[bytes, bytes]


class SourceCounts:
    """Who was refused how often, of at most `TALLIED` sources: counts are never too high.

    None is too low by more than a hundredth of all (Misra and Gries, Finding repeated elements, 1982).
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[bytes, int] = {}

    def add(self, source: bytes, count: int = 1) -> None:
        """Count refusals of one source."""
        counts = self.counts
        if source in counts or len(counts) < TALLIED:
            counts[source] = counts.get(source, 0) + count
            return
        least = min(count, *counts.values())
        self.counts = {known: n - least for known, n in counts.items() if n > least}
        if count > least:
            self.add(source, count - least)

    def add_all(self, other: "SourceCounts") -> None:
        """Count what another has counted."""
        for source, count in other.counts.items():
            self.add(source, count)


@dataclass(slots=True)
class Told:
    """Refusals of one kind: how many, how many of them were only noted, and the place of the last one."""

    count: int = 0
    noted: int = 0
    offset: int = 0
    index: int = 0


@dataclass(slots=True)
class RefusalSummary:
    """What was refused since it was last asked: for the breaker, and to be told.

    `by_key` counts letters by the key of their message, or their own where it has none; `by_own` the other
    way round. `reasons` are by field and shape, `held` the noted events by source, each at most `TOLD`.
    """

    letters: int = 0
    noted: int = 0
    by_key: SourceCounts = field(default_factory=SourceCounts)
    by_own: SourceCounts = field(default_factory=SourceCounts)
    reasons: dict[tuple[str, str], Told] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)


class Quota:
    """How many letters each source may still have in the present minute of Kafka's append time.

    It holds at most SOURCES counts and two more; a time that goes back is of the present minute.
    """

    __slots__ = ("_counts", "_letters", "_minute")

    def __init__(self, letters: int) -> None:
        self._letters = letters
        self._minute = -1
        self._counts: dict[bytes, int] = {}

    def take(self, sources: Sources, append_ms: int) -> bytes | None:
        """One letter of its sources; the source that has no more, or None when it was taken."""
        if (minute := append_ms // MINUTE_MS) > self._minute:
            self._minute, self._counts = minute, {}
        counts = self._counts
        names = dict.fromkeys(s if s in counts or len(counts) < SOURCES else OTHERS for s in sources)
        for name in names:
            if counts.get(name, 0) >= self._letters:
                return name
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        return None


class Refusals:
    """What one partition has refused and not flushed yet; below `note_below` it only notes places."""

    __slots__ = ("_bytes", "_letter_bytes", "_letters", "_noted", "_own", "_quota", "_since", "note_below")

    def __init__(self, key: str, limits: Limits) -> None:
        name = re.escape(key.encode())
        value = rb'(?:"([^"\\]{1,64})|([-.0-9]{1,64}))'
        self._own = re.compile(rb'"%b"[ \t\r\n]*:[ \t\r\n]*%b' % (name, value))
        self._letter_bytes = limits.letter_bytes
        self._quota = Quota(limits.source_letters)
        self.note_below = 0
        self._since = RefusalSummary()
        self.forget()

    @property
    def bytes(self) -> int:
        """About what waits to be flushed, in memory."""
        return self._bytes

    def forget(self) -> None:
        """Nothing waits any more."""
        self._letters: list[DeadLetter] = []
        self._noted: list[Noted] = []
        self._bytes = 0

    def take(self) -> tuple[list[DeadLetter], list[Noted]]:
        """What waits to be flushed; it does not wait any more."""
        taken = self._letters, self._noted
        self.forget()
        return taken

    def since(self) -> RefusalSummary | None:
        """What was refused since it was last asked; None when nothing was."""
        since = self._since
        if not since.letters and not since.noted:
            return None
        self._since = RefusalSummary()
        return since

    def add(self, refusal: Refusal, message: Message) -> None:
        """Keep one refused event of a message, or the whole of it, or note its place."""
        sources = self._sources(refusal, message)
        held = (
            sources[0] if message.offset < self.note_below else self._quota.take(sources, message.append_ms)
        )
        if held is None:
            self._keep(refusal, message)
            self._since.letters += 1
            self._since.by_key.add(sources[0])
            self._since.by_own.add(sources[1])
        else:
            self._note(refusal.index, message, source_text(held))
        self._tell(refusal, message.offset, noted=held is not None)

    def _sources(self, refusal: Refusal, message: Message) -> Sources:
        key = (message.key or b"")[:SOURCE_BYTES]
        found = self._own.search(refusal.raw, 0, LOOKED_AT)
        own = (found[1] or found[2]) if found else b""
        return key or own or NO_KEY, own or key or NO_KEY

    def _keep(self, refusal: Refusal, message: Message) -> None:
        raw = refusal.raw[: self._letter_bytes]
        where = message.offset, refusal.index, message.append_ms
        self._letters.append(DeadLetter(*where, refusal.field, refusal.reason, raw))
        self._bytes += LETTER_BYTES + len(raw)

    def _note(self, index: int, message: Message, source: str) -> None:
        """Note the place; of a message with several sources the first is named."""
        if not self._noted or self._noted[-1].offset != message.offset:
            self._noted.append(Noted(message.offset, message.append_ms, source, array("I")))
            self._bytes += NOTED_BYTES
        last = self._noted[-1]
        last.indexes.append(index)
        self._bytes += INDEX_BYTES
        since = self._since
        since.noted += 1
        name = last.source if last.source in since.held or len(since.held) < TOLD else source_text(OTHERS)
        since.held[name] = since.held.get(name, 0) + 1

    def _tell(self, refusal: Refusal, offset: int, *, noted: bool) -> None:
        reasons, name = self._since.reasons, (refusal.field, safe_shape(refusal.reason))
        told = reasons.setdefault(name if name in reasons or len(reasons) < TOLD else OTHER_REASONS, Told())
        told.count += 1
        told.noted += noted
        told.offset, told.index = offset, refusal.index


def source_text(source: bytes) -> str:
    """A source for people: at most 64 printable characters."""
    if source == NO_KEY:
        return "no key"
    if source == OTHERS:
        return "others"
    text = source.decode(errors="replace")[:SOURCE_BYTES]
    return "".join(c if c.isprintable() else "?" for c in text)


def places(noted: list[Noted]) -> Iterator[tuple[int, int]]:
    """Offset and index of each event that is noted."""
    return ((n.offset, index) for n in noted for index in n.indexes)
