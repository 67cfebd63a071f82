"""A sink in memory, with the rules of the tables: the twin of `sinks.store` for tests and dry runs."""

from array import array
from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from streams.core.breaker import Breaker
from streams.core.home import Homes
from streams.core.late import LateEvent
from streams.core.rebuild import Correction
from streams.core.rows import Row
from streams.core.values import Changes, ClosedPane, DeadLetter, Noted, PaneIds, Progress, version_of
from streams.sink import SinkFenced
from streams.spec import StreamSpec

PaneKey = tuple[str, int, int]
# a window table's sorting key: (window_start in seconds, window_seconds, *dimensions, partition, late_id)
RowKey = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """What flushes have written, as it is held: rows of one stream by version, all else by epoch."""

    rows: dict[RowKey, tuple[int, Row]]
    panes: dict[PaneKey, dict[int, ClosedPane]]
    late: dict[PaneKey, dict[int, tuple[int, LateEvent]]]
    dead: dict[tuple[str, int], dict[tuple[int, int, int], DeadLetter]]
    noted: dict[tuple[str, int], dict[tuple[int, int], Noted]]
    # positions
    sendings: dict[tuple[str, int], dict[int, int]]


class MemorySink:
    """Keeps the newest version of each row; of equal versions the last one written, as the engine does."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[RowKey, tuple[int, Row]]] = {}
        self._panes: dict[PaneKey, dict[int, ClosedPane]] = {}
        self._late: dict[PaneKey, dict[int, tuple[int, LateEvent]]] = {}
        self._streams: dict[str, str] = {}
        self._dead: dict[tuple[str, int], dict[tuple[int, int, int], DeadLetter]] = {}
        self._noted: dict[tuple[str, int], dict[tuple[int, int], Noted]] = {}
        self._progress: dict[tuple[str, int], Progress] = {}
        self._sendings: dict[tuple[str, int], dict[int, int]] = {}
        self.fences: dict[str, int] = {}
        self._homes: dict[tuple[str, str, int], Homes] = {}
        self._breakers: dict[str, Breaker] = {}
        self._corrections: dict[PaneKey, tuple[int, Correction]] = {}

    def progress(self, topic: str, partitions: Iterable[int]) -> dict[int, Progress]:
        """The newest progress of each partition that has one."""
        return {p: self._progress[topic, p] for p in partitions if (topic, p) in self._progress}

    def pane_ids(self, topic: str, wanted: Mapping[int, Collection[int]]) -> dict[tuple[int, int], PaneIds]:
        """Known ids by (partition, window_start_ms); absent means none known."""
        found = {}
        for partition, starts in wanted.items():
            for start_ms in starts:
                key = topic, partition, start_ms
                if key in self._panes or key in self._late:
                    found[partition, start_ms] = PaneIds(self._on_time(key), self._first_positions(key))
        return found

    def known_ids(
        self, topic: str, asked: Mapping[tuple[int, int], Collection[int]]
    ) -> dict[tuple[int, int], PaneIds]:
        """Of the ids asked for by (partition, window_start_ms) those that are known; absent means none."""
        found = {}
        for (partition, start_ms), wanted in asked.items():
            key, ids = (topic, partition, start_ms), set(wanted)
            on_time = array("Q", sorted(ids.intersection(self._on_time(key))))
            late = {i: at for i, at in self._first_positions(key).items() if i in ids}
            if on_time or late:
                found[partition, start_ms] = PaneIds(on_time, late)
        return found

    def put_rows(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write window rows, and the late events' own rows."""
        self._check(spec, (c for c in changes if c.rows or c.late))
        table = self._rows.setdefault(spec.table, {})
        width = 1 + len(spec.dimensions)
        for c in changes:
            seconds, partition = c.progress.pane_ms // 1000, c.progress.partition
            for row in (*c.rows, *c.late.rows):
                late_id, version = row[width], cast(int, row[width + 1])
                key = (row[0], seconds, *row[1:width], partition, late_id)
                if key not in table or table[key][0] <= version:
                    table[key] = version, row

    def put_ids(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write the ids of closed panes."""
        self._check(spec, (c for c in changes if c.closed))
        for c in changes:
            for pane in c.closed:
                key = spec.topic, c.progress.partition, pane.window_start_ms
                self._panes.setdefault(key, {})[c.progress.epoch] = pane

    def put_late(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Register late events; of one id the lowest position stays."""
        self._check(spec, (c for c in changes if c.late))
        for c in changes:
            for late in c.late:
                known = self._late.setdefault((spec.topic, c.progress.partition, late.window_start_ms), {})
                first = c.progress.epoch, late.position
                if late.id not in known or first <= (known[late.id][0], known[late.id][1].position):
                    known[late.id] = c.progress.epoch, late

    def put_dead(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write dead letters."""
        self._check(spec, (c for c in changes if c.dead))
        for c in changes:
            self._streams[spec.topic] = spec.name
            letters = self._dead.setdefault((spec.topic, c.progress.partition), {})
            letters.update({(c.progress.epoch, d.offset, d.index): d for d in c.dead})

    def put_noted(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write the places of refused events that are only noted."""
        self._check(spec, (c for c in changes if c.noted))
        for c in changes:
            self._streams[spec.topic] = spec.name
            noted = self._noted.setdefault((spec.topic, c.progress.partition), {})
            noted.update({(c.progress.epoch, n.offset): n for n in c.noted})

    def put_sending(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write that the strays of these changes are about to be sent home."""
        self._check(spec, changes)
        for c in changes:
            key = spec.topic, c.progress.partition
            epochs = self._sendings.setdefault(key, {})
            epochs[c.progress.epoch] = max(c.progress.next_offset, epochs.get(c.progress.epoch, 0))

    def put_progress(self, spec: StreamSpec, changes: Sequence[Changes]) -> None:
        """Write how far each partition has come; a lower version changes nothing."""
        self._check(spec, changes)
        for c in changes:
            key = spec.topic, c.progress.partition
            if key not in self._progress or self._progress[key].version <= c.progress.version:
                self._progress[key] = c.progress

    def homes(self, topic: str) -> list[Homes]:
        """What was decided on homes of this topic's events, in order of `change`; of all topic ids."""
        found = (h for h in self._homes.values() if h.topic == topic)
        return sorted(found, key=lambda h: (h.change, h.topic_id))

    def put_homes(self, homes: Homes) -> None:
        """Store a decision, unless there is one of this topic, topic id and change."""
        self._homes.setdefault((homes.topic, homes.topic_id, homes.change), homes)

    def breakers(self) -> dict[str, Breaker]:
        """The switch of each stream that was ever paused."""
        return dict(self._breakers)

    def put_breaker(self, breaker: Breaker) -> None:
        """Write a switch; the highest number of changes wins."""
        known = self._breakers.get(breaker.stream)
        if known is None or known.changes <= breaker.changes:
            self._breakers[breaker.stream] = breaker

    def close(self) -> None:
        """Nothing to leave."""

    def rows(self, spec: StreamSpec) -> dict[RowKey, Row]:
        """What a reader of the table sees: the newest row by its key."""
        return {key: row for key, (_, row) in self._rows.get(spec.table, {}).items()}

    def late_events(self, topic: str) -> list[LateEvent]:
        """The registered late events of a topic, by pane and id."""
        panes = (v for k, v in sorted(self._late.items()) if k[0] == topic)
        return [late for pane in panes for _, (_, late) in sorted(pane.items())]

    def corrections(self, topic: str, partition: int) -> dict[int, Correction]:
        """The corrections of a partition, by window_start_ms."""
        found = ((key, c) for key, (_, c) in self._corrections.items())
        return {key[2]: c for key, c in found if key[:2] == (topic, partition)}

    def put_corrections(self, topic: str, progress: Progress, corrections: Iterable[Correction]) -> None:
        """Write what a rebuild up to this progress corrects; a lower version changes nothing."""
        for correction in corrections:
            key = topic, progress.partition, correction.window_start_ms
            if key not in self._corrections or self._corrections[key][0] <= progress.version:
                self._corrections[key] = progress.version, correction

    def dead_letters(self, topic: str, partition: int) -> list[DeadLetter]:
        """The dead letters of a partition, by position."""
        return [d for _, d in sorted(self._dead.get((topic, partition), {}).items())]

    def noted(self, topic: str, partition: int) -> list[Noted]:
        """What is noted of a partition, by position."""
        return [n for _, n in sorted(self._noted.get((topic, partition), {}).items())]

    def all_noted(self) -> Iterator[tuple[str, str, int, int, Noted]]:
        """All that is noted, with its stream, topic, partition and epoch."""
        for (topic, partition), noted in self._noted.items():
            for (epoch, _), of_message in sorted(noted.items()):
                yield self._streams[topic], topic, partition, epoch, of_message

    def all_dead(self) -> Iterator[tuple[str, str, int, int, DeadLetter]]:
        """Every dead letter with its stream, topic, partition and epoch."""
        for (topic, partition), letters in self._dead.items():
            for (epoch, _, _), letter in letters.items():
                yield self._streams[topic], topic, partition, epoch, letter

    def tables(self, spec: StreamSpec) -> Tables:
        """What is held, for whoever has to forget some of it."""
        rows = self._rows.setdefault(spec.table, {})
        return Tables(rows, self._panes, self._late, self._dead, self._noted, self._sendings)

    def _check(self, spec: StreamSpec, written: Iterable[Changes]) -> None:
        """Raises SinkFenced for what is older than the fence of its topic, see `sinks.memory_fence`."""
        if any(c.progress.epoch < self.fences.get(spec.topic, 0) for c in written):
            raise SinkFenced(f"{spec.topic}: rows from before a rehoming are refused")

    def _on_time(self, key: PaneKey) -> Sequence[int]:
        """The ids of a pane, sorted; each epoch in which it closed adds its own."""
        first, *others = self._panes.get(key, {}).values() or (None,)
        if first is None:
            return ()
        ids = first.ids[:]
        for i in {i for pane in others for i in pane.ids}.difference(ids):
            insort(ids, i)
        return ids

    def _first_positions(self, key: PaneKey) -> dict[int, tuple[int, int]]:
        late = self._late.get(key, {})
        return {i: (version_of(epoch, e.position[0]), e.position[1]) for i, (epoch, e) in late.items()}
