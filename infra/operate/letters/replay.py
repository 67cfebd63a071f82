"""Sending dead letters again: marked before and after, in portions, so that a crash leaves nothing unsaid."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

from xxhash import xxh3_64_intdigest

from infra.operate.letters.patch import CorrectedEvent, CorrectionError, Patch
from infra.operate.letters.prepare import ReplayRules, Sendable, Unsendable, prepare
from sinks.letters import REPLAYED, REPLAYING, STATES, Action, Letter, Letters, Place, Selection

# letters, and bytes of them, that a crash may leave half done
PORTION, PORTION_BYTES = 500, 8 << 20
SHOWN = 10

# a letter, what is to be sent for it, and by which correction
Corrected = tuple[Letter, bytes, str]


class LetterSender(Protocol):
    """What sends messages, for certain once `flush` returns."""

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Send one message to the home of its key."""

    def flush(self) -> None:
        """Wait until all is acknowledged; raises when it was not."""


@dataclass(slots=True)
class ReplayReport:
    """What was, or would be, sent and not; the first few of each are kept.

    `broken_off` are those of the letters sent that an earlier replay may have sent already.
    """

    sent: int = 0
    refused: int = 0
    broken_off: int = 0
    first_sent: list[Sendable] = field(default_factory=list)
    first_refused: list[Unsendable] = field(default_factory=list)

    def note(self, outcome: Sendable | Unsendable) -> None:
        """Count one letter."""
        if isinstance(outcome, Unsendable):
            self.refused += 1
            self.first_refused += [outcome][: SHOWN - len(self.first_refused)]
            return
        self.sent += 1
        self.broken_off += outcome.letter.state == REPLAYING
        self.first_sent += [outcome][: SHOWN - len(self.first_sent)]


def patched(letters: Iterable[Letter], patch: Patch) -> Iterator[Corrected | Unsendable]:
    """Each letter with the patch applied."""
    for letter in letters:
        try:
            yield letter, patch.applied(letter.raw), str(patch)
        except CorrectionError as error:
            yield Unsendable(letter, letter.raw, "", str(error))


def from_file(
    letters: Letters, corrections: Mapping[Place, CorrectedEvent], source: str
) -> Iterator[Corrected | Unsendable]:
    """Each letter for which the file has an event; an event for which there is no letter is refused."""
    wanted = {place: c for place, c in corrections.items() if c.value is not None}
    messages = iter({(p.topic, p.partition, p.offset): None for p in wanted})
    while some := tuple(islice(messages, PORTION)):
        for letter in letters.find(Selection(states=STATES, messages=some)):
            place = replace(letter.place, epoch=0)
            found = corrections.get(place)
            if found is not None and found.value is not None and found.epoch in (None, letter.place.epoch):
                wanted.pop(place, None)
                yield letter, found.value, f"{source}, line {found.line}"
    for place, correction in wanted.items():
        nothing = Letter(place, "", 0, "", "", b"")
        yield Unsendable(nothing, b"", "", f"there is no such dead letter ({source}, line {correction.line})")


def outcomes(
    letters: Iterable[Corrected | Unsendable], rules: ReplayRules
) -> Iterator[Sendable | Unsendable]:
    """What becomes of each letter: letters of one event_id must be the same event, or one would vanish."""
    seen: dict[int, tuple[int, int, Place]] = {}
    for item in letters:
        outcome = item if isinstance(item, Unsendable) else prepare(*item, rules)
        if isinstance(outcome, Sendable):
            letter, content = outcome.letter, xxh3_64_intdigest(outcome.value)
            first = [seen.setdefault(i, (outcome.partition, content, letter.place)) for i in outcome.ids]
            clash = next((f[2] for f in first if f[:2] != (outcome.partition, content)), None)
            if clash:
                reason = f"is that of {clash}, which is another event: only one of them would count"
                outcome = Unsendable(letter, outcome.value, "event_id", reason)
        yield outcome


def rehearse(found: Iterable[Sendable | Unsendable]) -> ReplayReport:
    """What a replay would do."""
    report = ReplayReport()
    for outcome in found:
        report.note(outcome)
    return report


def replay(
    found: Iterable[Sendable | Unsendable],
    letters: Letters,
    sender: LetterSender,
    clock_ms: Callable[[], int],
) -> ReplayReport:
    """Send, portion by portion. Raises what the sender or the store raises; then some may be half done.

    Those stay `replaying`, and the next replay says so and sends them again.
    """
    report, portion, size = ReplayReport(), list[Sendable](), 0
    for outcome in found:
        report.note(outcome)
        if isinstance(outcome, Unsendable):
            continue
        portion.append(outcome)
        size += len(outcome.value)
        if len(portion) >= PORTION or size >= PORTION_BYTES:
            _send(portion, letters, sender, clock_ms)
            portion, size = [], 0
    _send(portion, letters, sender, clock_ms)
    return report


def _send(
    portion: list[Sendable], letters: Letters, sender: LetterSender, clock_ms: Callable[[], int]
) -> None:
    if not portion:
        return
    # a letter that was sent before must not look older than that
    before_ms = max([clock_ms(), *(s.letter.acted_ms + 1 for s in portion)])
    letters.mark([_action(s, before_ms, REPLAYING) for s in portion])
    for s in portion:
        for each in s.messages:
            sender.send(s.letter.place.topic, each.key, each.value)
    sender.flush()
    after_ms = max(clock_ms(), before_ms + 1)
    letters.mark([_action(s, after_ms, REPLAYED) for s in portion])


def _action(s: Sendable, at_ms: int, state: str) -> Action:
    return Action(s.letter.place, at_ms, state, s.note, s.value, s.partition)
