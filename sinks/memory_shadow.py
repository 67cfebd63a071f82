"""A rebuild's shadow on the sink in memory: the twin of `sinks.shadow` for tests and dry runs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from sinks.memory import MemorySink, RowKey
from streams.core.aggregate import Plan
from streams.core.late import LateEvents
from streams.core.parts import columns_of, held_in
from streams.core.rebuild import Correction, Span, Stored, is_replaced
from streams.core.rows import Row, Rows
from streams.core.values import Changes, Progress
from streams.shadow import Comparison, Difference, Kind
from streams.spec import StreamSpec

# (window_start in seconds, *dimensions)
ViewKey = tuple[Any, ...]


class MemoryShadow:
    """A `streams.shadow.Shadow` of a `MemorySink`."""

    def __init__(self, sink: MemorySink, spec: StreamSpec, pane_ms: int, span: Span) -> None:
        self._sink, self._spec, self._pane_ms, self._span = sink, spec, pane_ms, span
        self._width = 1 + len(spec.dimensions)
        self._nothing: list[Any] = list(Plan(spec).columns(Plan(spec).new_total()))
        self._put: list[tuple[Progress, list[Row], Sequence[Correction]]] = []

    def stored(self, partition: int) -> list[Stored]:
        """The rows of the span as they are in the stream's table."""
        return [self._stored(row) for _, row in self._rows(partition)]

    def corrections(self, partition: int) -> dict[int, int]:
        """Earlier corrections in the span, by window_start_ms."""
        found = self._sink.corrections(self._spec.topic, partition)
        return {
            start_ms: c.events
            for start_ms, c in found.items()
            if self._span.start_ms <= start_ms < self._span.end_ms
        }

    def put(self, progress: Progress, rows: Iterable[Row], corrections: Sequence[Correction]) -> None:
        """Take one partition's rows and corrections."""
        self._put.append((progress, list(rows), corrections))

    def compare(self, limit: int) -> Comparison:
        """What the stream's view shows, of the log up to where the rebuild ends, against what was put."""
        now, log = self._view(self._stored_rows()), self._view(r for _, rows, _ in self._put for r in rows)
        shown = list[Difference]()
        for key in sorted(now.keys() | log.keys()):
            shown += self._differences(key, now.get(key), log.get(key))
        kinds = Counter[Kind](d.kind for d in shown)
        return Comparison(
            windows=len({key[0] for key in now.keys() | log.keys()}),
            rows=len(now.keys() | log.keys()),
            events=sum(values[0] for values in now.values()),
            late=sum(self._stored(row).events for row in self._stored_rows() if row[self._width]),
            wrong_windows=len({d.window_start_ms for d in shown}),
            missing=kinds["missing"],
            surplus=kinds["surplus"],
            different=kinds["different"],
            shown=tuple(shown[:limit]),
        )

    def correct(self) -> None:
        """Write the corrections."""
        for progress, _, corrections in self._put:
            self._sink.put_corrections(self._spec.topic, progress, corrections)

    def swap_in(self) -> None:
        """Put all that was put into the stream's table."""
        self._sink.put_rows(
            self._spec, [Changes(p, Rows.of(rows), [], LateEvents(), []) for p, rows, _ in self._put]
        )

    def close(self) -> None:
        """Nothing to leave."""

    def _rows(self, partition: int) -> Iterator[tuple[RowKey, Row]]:
        for key, row in self._sink.rows(self._spec).items():
            start_ms = cast(int, key[0]) * 1000
            mine = key[1] == self._pane_ms // 1000 and key[-2] == partition
            if mine and self._span.start_ms <= start_ms < self._span.end_ms:
                yield key, row

    def _stored(self, row: Row) -> Stored:
        version, events = row[self._width + 1 : self._width + 3]
        return Stored(row[: self._width + 1], cast(int, version), cast(int, events))

    def _stored_rows(self) -> Iterator[Row]:
        for progress, _, _ in self._put:
            for _, row in self._rows(progress.partition):
                if is_replaced(progress, self._stored(row)):
                    yield row

    def _view(self, rows: Iterable[Row]) -> dict[ViewKey, list[Any]]:
        """Rows that hold events by window and dimensions, added up: events, then each measure's value."""
        found: dict[ViewKey, list[Any]] = {}
        for row in rows:
            values = [*row[self._width + 2 :]]
            if values[0]:
                key = row[: self._width]
                found[key] = self._sum(found[key], values) if key in found else values
        return found

    def _sum(self, one: list[Any], other: list[Any]) -> list[Any]:
        total, ones, others = [one[0] + other[0]], iter(one[1:]), iter(other[1:])
        for part in self._spec.parts:
            a, b = (held_in(tuple(islice(side, len(part.columns)))) for side in (ones, others))
            total += columns_of(part.form.merge(a, b))
        return total

    def _differences(
        self, key: ViewKey, now: list[Any] | None, log: list[Any] | None
    ) -> Iterator[Difference]:
        if now == log:
            return
        kind: Kind = "missing" if now is None else "surplus" if log is None else "different"
        names = ("events", *(m.name for m in self._spec.measures for part in m.parts for _ in part.columns))
        shown, said = now or self._nothing, log or self._nothing
        wrong = dict.fromkeys(n for n, a, b in zip(names, shown, said, strict=True) if a != b)
        wrong.pop("events", None)
        yield Difference(kind, key[0] * 1000, key[1:], shown[0], said[0], tuple(wrong))
