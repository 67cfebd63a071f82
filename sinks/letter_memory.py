"""Dead letters of the sink in memory: the twin of `sinks.letter_store` for tests."""

from collections.abc import Iterator, Sequence
from itertools import islice

from sinks.letters import OPEN, Action, Group, Letter, NotedMessage, Place, Selection
from sinks.memory import MemorySink
from streams.core.shapes import shape


class MemoryLetters:
    """`Letters` over what a `MemorySink` holds."""

    def __init__(self, sink: MemorySink) -> None:
        self._sink = sink
        self.actions: list[Action] = []

    def count(self, selection: Selection) -> int:
        """How many there are."""
        return sum(1 for _ in self.find(selection))

    def find(self, selection: Selection, limit: int | None = None) -> Iterator[Letter]:
        """The letters, the oldest first."""
        found = (letter for letter in self._letters() if _selected(letter, selection))
        return islice(sorted(found, key=_order), limit)

    def newest(self, selection: Selection, limit: int) -> list[Letter]:
        """The newest letters, the newest first."""
        return list(self.find(selection))[::-1][:limit]

    def groups(self, selection: Selection, limit: int) -> list[Group]:
        """The largest groups by reason, the largest first."""
        groups: dict[tuple[str, str, str], list[Letter]] = {}
        for letter in self.find(selection):
            groups.setdefault((letter.stream, letter.field, shape(letter.reason)), []).append(letter)
        found = [
            Group(*key, len(some), some[0].append_ms, some[-1].append_ms, some[-1].place)
            for key, some in groups.items()
        ]
        return sorted(found, key=lambda g: (-g.letters, g.stream, g.field, g.reason))[:limit]

    def count_noted(self, selection: Selection) -> int:
        """How many events are only noted."""
        return sum(len(noted.indexes) for noted in self.noted(selection))

    def noted(self, selection: Selection) -> Iterator[NotedMessage]:
        """What is only noted."""
        letters = {letter.place for letter in self._letters()}
        found = []
        for stream, topic, partition, epoch, noted in self._sink.all_noted():
            left = frozenset(
                i for i in noted.indexes if Place(topic, partition, noted.offset, i, epoch) not in letters
            )
            place = Place(topic, partition, noted.offset, epoch=epoch)
            message = NotedMessage(place, stream, noted.append_ms, noted.source, left)
            if left and _appended(message, selection):
                found.append(message)
        yield from sorted(
            found, key=lambda n: (n.place.topic, n.place.partition, n.place.epoch, n.place.offset)
        )

    def mark(self, actions: Sequence[Action]) -> None:
        """Write actions."""
        self.actions += actions

    def close(self) -> None:
        """Nothing to leave."""

    def _letters(self) -> Iterator[Letter]:
        last = {action.place: action for action in sorted(self.actions, key=lambda a: (a.at_ms, a.state))}
        for stream, topic, partition, epoch, dead in self._sink.all_dead():
            place = Place(topic, partition, dead.offset, dead.index, epoch)
            letter = Letter(place, stream, dead.append_ms, dead.field, dead.reason, dead.raw)
            yield _acted(letter, last[place]) if place in last else letter


def _acted(letter: Letter, action: Action) -> Letter:
    return Letter(
        letter.place, letter.stream, letter.append_ms, letter.field, letter.reason, letter.raw,
        action.state, action.at_ms, action.note, action.sent, action.sent_partition,
    )  # fmt: skip


def _order(letter: Letter) -> tuple[int, Place]:
    return letter.append_ms, letter.place


def _selected(letter: Letter, s: Selection) -> bool:
    return (
        _appended(letter, s)
        and s.field in ("", letter.field)
        and s.reason.lower() in letter.reason.lower()
        and (not s.states or (letter.state or OPEN) in s.states)
    )


def _appended(what: Letter | NotedMessage, s: Selection) -> bool:
    """Whether its place and time are selected."""
    place = what.place
    return (
        s.stream in ("", what.stream)
        and s.topic in ("", place.topic)
        and (s.since_ms is None or what.append_ms >= s.since_ms)
        and (s.until_ms is None or what.append_ms < s.until_ms)
        and (not s.messages or (place.topic, place.partition, place.offset) in s.messages)
    )
