"""Any bytes as a piece of a log: stream and rules, batches, and where they are cut, flushed, restarted.

Five bytes choose the stream, how the rest is framed, the rules of time, where the log begins, of how many
homes, and the topic's epoch. The rest is in pieces; between two stand CUT and two bytes: what happens after
the piece before, and what the piece behind is like. So a mutation of any byte is again a log, and a message
stands in it as it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from streams.core.fold import ENDLESS
from streams.core.limits import Limits
from streams.core.rules import Rules
from streams.core.values import OFFSET_BITS
from streams.registry import load_streams
from streams.spec import StreamSpec
from tests.fuzz.steps import END, FOLD, Form, Piece, Step, Steps
from tests.support.odd import PARKING

CUT = b"\xfa\xce"
CONTROLS = 5
OTHER_DEDUPE, NARROW, NO_ROOM, TWICE = 0x10, 0x20, 0x40, 0x80
BASES = (0, 1, 6, (1 << 31) - 3, (1 << 47) - 2, (1 << OFFSET_BITS) - 9)
DISORDERS_MS, SKEWS_MS, PANES_MS = (60_000, 0, 1000, 120_000), (300_000, 0), (60_000, 1000, 3_600_000)
EPOCHS = (0, 1, 65_535)
# numbers that homes are reckoned by; a bit says that strays count where they are
HOMES, STAY = (0, 2, 7, 1), 0x20


@dataclass(frozen=True, slots=True)
class Case:
    """An input as both folds get it."""

    spec: StreamSpec
    rules: Rules
    form: Form
    base: int
    epoch: int
    homes: int
    forward: bool
    room: int
    """How many bytes may wait before a fold stops within a batch."""
    twice: bool
    """Whether it is flushed twice at the end."""
    steps: tuple[Step, ...]


@lru_cache(maxsize=1)
def streams() -> tuple[StreamSpec, ...]:
    """The odd stream of the tests, then those of the registry: a fourth one is fuzzed as it is added."""
    return PARKING, *load_streams().values()


def case_of(data: bytes) -> Case:
    """The case that any bytes are."""
    first, framing, times, start, epoch = data[:CONTROLS].ljust(CONTROLS, b"\0")
    base, form = BASES[(start & 0x1F) % len(BASES)], Form((framing & 0x0F) % len(Form))
    spec, rules = _variant(first % len(streams()), framing & (OTHER_DEDUPE | NARROW), times)
    # with less a fold would read a large batch from its beginning too often
    room = ENDLESS if not times & NO_ROOM else 50_000 if form is Form.MANY else 0
    steps = tuple(Steps(form, base).of(_pieces(data[CONTROLS:])))
    homes, forward = HOMES[start >> 6], not start & STAY
    epoch, twice = EPOCHS[epoch % len(EPOCHS)], bool(epoch & TWICE)
    return Case(spec, rules, form, base, epoch, homes, forward, room, twice, steps)


def bytes_of(stream: int, form: Form, pieces: Sequence[Piece], *, times: int = 0, start: int = 0) -> bytes:
    """The input whose case has these pieces: for seeds."""
    data = bytearray([stream, form, times, start, TWICE])
    for i, piece in enumerate(pieces):
        data += piece.body
        if i + 1 < len(pieces):
            data += CUT + bytes([piece.after & 0x0F | pieces[i + 1].like & 0xF0, pieces[i + 1].choice])
    return bytes(data)


@cache
def _variant(stream: int, flags: int, times: int) -> tuple[StreamSpec, Rules]:
    spec = streams()[stream]
    if flags & OTHER_DEDUPE:
        spec = replace(spec, dedupe=not spec.dedupe)
    limits = Limits(bundle_events=3, letter_bytes=40, source_letters=2) if flags & NARROW else Limits()
    return spec, Rules(
        pane_ms=PANES_MS[(times >> 4 & 3) % len(PANES_MS)],
        disorder_ms=DISORDERS_MS[times & 3],
        skew_ms=SKEWS_MS[times >> 2 & 1],
        limits=limits,
    )


def _pieces(body: bytes) -> Iterator[Piece]:
    first, *rest = body.split(CUT)
    like = choice = 0
    for part in rest:
        after, following = part[:2].ljust(2, b"\0")
        yield Piece(first, after, like, choice)
        first, like, choice = part[2:], after, following
    yield Piece(first, END | FOLD, like, choice, is_last=True)
