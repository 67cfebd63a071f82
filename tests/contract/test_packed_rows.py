"""Rows that travel packed are stored as the same rows are that travel as lists."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from random import Random
from typing import Any

import orjson
import pytest

from schemas.jsonschema import examples
from sinks import native_block, packed
from sinks.clickhouse import ClickHouseAccess
from sinks.packed import late_blocks, packed_blocks
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.catalog.qr import SPEC as QR
from streams.core.late import LateEvents
from streams.core.packed import BY_WIDTH, Layout, Packed
from streams.core.parts import LEAST, MOST, PartKind
from streams.core.plain import PlainFold
from streams.core.records import pack
from streams.core.rows import Row, Rows
from streams.core.rules import Rules
from streams.core.values import Changes, Progress, RecordBatch
from streams.registry import load_streams
from streams.sink import SinkRejected
from streams.spec import StreamSpec
from tests.support.clickhouse import T0_S, HasClickHouse, ask, late, new_database
from tests.support.engines import native

STREAMS = load_streams()
TEXTS = (
    "",
    "cam-1",
    "Tuyên Quang",
    "Ỷ La — đường 17/8",
    "it's",
    "\\N",
    "\\",
    "a" * 127,
    "ư" * 64,
    "b" * 20_000,
)
NUMBERS = (0, 1, 255, 2**32, 2**53 - 1, 2**63, 2**64 - 1)


@pytest.fixture
def server(stack: HasClickHouse) -> ClickHouseAccess:
    """A database of the test's own."""
    return new_database(stack)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each packed block had that was sent."""
    sent: list[int] = []
    send = native_block.PackedClient._send_block

    def count(client: Any, wire: Any, rows: int) -> None:
        sent.append(rows)
        send(client, wire, rows)

    monkeypatch.setattr(native_block.PackedClient, "_send_block", count)
    return sent


LATE_LAYOUTS = (Layout.I64, Layout.U64, Layout.TEXT, Layout.I64, Layout.I64, Layout.U64, Layout.U32)


def layouts(spec: StreamSpec) -> Iterator[Layout]:
    """A layout for each column that takes any value of it."""
    yield from (Layout.U32, *[Layout.TEXT] * len(spec.dimensions), *[Layout.U64] * 3)
    for part in spec.parts:
        layout = part.form.layout
        # a sum that needs more than 64 bits makes the column as wide
        yield from [Layout.U64 if layout is Layout.U128 else layout] * len(part.columns)


def random_row(spec: StreamSpec, rng: Random, number: int, below: int = 2**64) -> Row:
    """A row of the stream with anything in it; numbers `below` a limit."""
    numbers = [n for n in (*NUMBERS, below - 1) if n < below]
    row: list[object] = [T0_S + 60 * (number % 7), *(rng.choice(TEXTS) for _ in spec.dimensions)]
    row += [0, number, rng.choice(numbers[1:])]
    for part in spec.parts:
        if part.kind is PartKind.HISTOGRAM:
            buckets = sorted({rng.choice(numbers) for _ in range(rng.choice((0, 0, 1, 3, 9)))})
            row += [buckets, [rng.choice(numbers) for _ in buckets]]
        elif part.kind is PartKind.SUMMED and part.columns[0].endswith("_vnd") and below == 2**64:
            row.append(rng.choice((*NUMBERS, 2**64, 2**127, 4096 * (2**53 - 1))))
        elif part.form.layout is Layout.I64:
            row.append(rng.choice((LEAST, -5, MOST, *(n for n in numbers if n <= MOST))))
        else:
            row.append(rng.choice(numbers))
    return tuple(row)


def put(server: ClickHouseAccess, spec: StreamSpec, changes: Sequence[Changes]) -> list[tuple[Any, ...]]:
    """What the table holds after these rows alone were put."""
    with closing(ClickHouseSink(server)) as sink:
        sink.put_rows(spec, changes)
    found = ask(server, f"SELECT * FROM {spec.table} ORDER BY ALL")
    parts = ask(
        server,
        "SELECT count() FROM system.parts WHERE active AND database = currentDatabase()"
        f" AND table = '{spec.table}'",
    )
    assert parts == [(1,)]
    ask(server, f"TRUNCATE TABLE {spec.table}")
    return found


def narrow(how: Layout, column: Sequence[Any]) -> Packed:
    """The column in the fewest bytes, as the compiled fold packs it."""
    values = [*chain.from_iterable(column)] if how is Layout.LISTS else column
    if how is Layout.TEXT:
        return Packed.of(Layout.CODES if len({*column}) < 256 else how, column)
    if how in (Layout.U32, Layout.I64):
        return Packed.of(how, column)
    element = next(layout for width, layout in BY_WIDTH.items() if not max(values, default=0) >> 8 * width)
    if how is Layout.LISTS:
        return replace(Packed.of(how, column), data=Packed.of(element, values).data, element=element)
    return Packed.of(element, column)


def as_packed(spec: StreamSpec, changes: Changes) -> Changes:
    """The same changes, with all columns packed."""
    late = changes.late
    columns = [Packed.of(how, column) for how, column in zip(LATE_LAYOUTS, late.columns, strict=True)]
    packed_late = LateEvents(packed_rows(spec, late.rows), *columns) if late else late
    return replace(changes, rows=packed_rows(spec, changes.rows), late=packed_late)


def packed_rows(spec: StreamSpec, rows: Rows) -> Rows:
    """The same rows, packed."""
    if not rows:
        return rows
    return Rows([Packed.of(how, column) for how, column in zip(layouts(spec), rows.columns, strict=True)])


@pytest.mark.parametrize("name", STREAMS)
def test_any_rows_of_each_stream(server: ClickHouseAccess, blocks: list[int], name: str) -> None:
    """All column types: texts of any length and alphabet, sums beyond 64 bits, empty arrays."""
    spec, rng = STREAMS[name], Random(7)
    flush = []
    for partition, count in ((0, 300), (4, 1), (65_535, 77)):
        rows = [random_row(spec, rng, n + 1000 * partition) for n in range(count)]
        at = Progress(spec.name, spec.topic, partition, next_offset=10**6)
        flush.append(Changes(at, Rows.of(rows), [], LateEvents(), []))
    expected = put(server, spec, flush)
    assert blocks == []
    assert put(server, spec, [as_packed(spec, changes) for changes in flush]) == expected
    assert blocks == [300, 1, 77]


@pytest.mark.parametrize("casting", [(0,), (99,)], ids=["the server casts", "an old server"])
@pytest.mark.parametrize("name", STREAMS)
def test_blocks_as_narrow_as_they_can_be(
    server: ClickHouseAccess,
    blocks: list[int],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    casting: tuple[int],
) -> None:
    """Each block of an insert has the types that its own numbers fit, and codes where texts are few."""
    monkeypatch.setattr(native_block, "CASTING", casting)
    spec, rng = STREAMS[name], Random(11)
    flush, narrowed = [], []
    for partition, bits in enumerate((1, 8, 9, 16, 17, 32, 33, 63)):
        rows = [random_row(spec, rng, n + 1000 * partition, 2**bits) for n in range(300)]
        at = Progress(spec.name, spec.topic, partition, next_offset=10**6)
        flush.append(Changes(at, Rows.of(rows), [], LateEvents(), []))
        columns = [narrow(how, c) for how, c in zip(layouts(spec), flush[-1].rows.columns, strict=True)]
        narrowed.append(replace(flush[-1], rows=Rows(columns)))
    expected = put(server, spec, flush)
    assert blocks == []
    assert put(server, spec, narrowed) == expected
    assert blocks == [300] * 8


def test_more_late_rows_than_the_narrow_ones_have_room_for(
    server: ClickHouseAccess, blocks: list[int]
) -> None:
    """A late event's row has its hash, other texts and larger numbers than the fold's rows beside it."""
    rows = [random_row(CAMERA, Random(3), n, 200) for n in range(5)]
    at, more = Progress(CAMERA.name, CAMERA.topic, 0), [late(7, offset=3, events=70_000)]
    plain = Changes(at, Rows.of(rows), [], LateEvents.of(more), [])
    columns = [narrow(how, c) for how, c in zip(layouts(CAMERA), plain.rows.columns, strict=True)]
    expected = put(server, CAMERA, [plain])
    assert put(server, CAMERA, [replace(as_packed(CAMERA, plain), rows=Rows(columns))]) == expected
    assert blocks == [5, 1]


@pytest.mark.parametrize("name", STREAMS)
def test_what_the_two_engines_fold(server: ClickHouseAccess, blocks: list[int], name: str) -> None:
    """The events that are beside each stream's definition, through both engines into both tables."""
    spec = STREAMS[name]
    valid = [example for example in examples(spec.event).valid if isinstance(example, dict)]
    values = [
        orjson.dumps({**example, "event_id": f"{name}-{n}", "occurred_at": T0_S * 1000 + n * 700})
        for n, example in enumerate(valid * 40)
    ]
    flushes: list[list[Changes]] = []
    for new in (PlainFold, native):
        flush = []
        for partition in range(3):
            state = new(spec, Rules(), Progress(spec.name, spec.topic, partition, epoch=partition))
            state.fold(pack(RecordBatch(0, len(values), T0_S * 1000 + 10**6, values)))
            changes = state.capture()
            assert changes
            flush.append(changes)
        flushes.append(flush)
    plain, compiled = flushes
    assert plain == compiled
    assert sum(len(changes.rows) for changes in plain) > 3
    assert put(server, spec, plain) == put(server, spec, compiled)
    assert len(blocks) == 3


def test_late_events_go_into_the_same_part(server: ClickHouseAccess, blocks: list[int]) -> None:
    """Rows of the fold, late events of another partition, and a partition with nothing."""
    rows = [random_row(CAMERA, Random(3), n) for n in range(5)]
    at = Progress(CAMERA.name, CAMERA.topic, 0)
    flush = [
        Changes(at, Rows.of(rows), [], LateEvents.of([late(7, offset=3), late(8, 60, offset=4)]), []),
        Changes(replace(at, partition=1), Rows(), [], LateEvents.of([late(9, 120, offset=5)]), []),
        Changes(replace(at, partition=2), Rows(), [], LateEvents(), []),
    ]
    expected = put(server, CAMERA, flush)
    assert len(expected) == 8
    assert put(server, CAMERA, [as_packed(CAMERA, each) for each in flush]) == expected
    assert blocks == [5, 2, 1]


def test_late_events_are_registered_alike(server: ClickHouseAccess, blocks: list[int]) -> None:
    """Packed or not: texts of any alphabet, both ends of each range, several partitions and epochs."""
    at = Progress(CAMERA.name, CAMERA.topic, 0)
    odd = replace(late(2**64 - 1, 60, offset=2**48 - 1, index=99_999), event_id="Tuyên Quang 𝕏" * 20)
    flush = [
        Changes(at, Rows(), [], LateEvents.of([late(7, offset=3), odd]), []),
        Changes(replace(at, partition=65_535, epoch=65_535), Rows(), [], LateEvents.of([odd]), []),
        Changes(replace(at, partition=2), Rows(), [], LateEvents(), []),
    ]
    found = []
    for changes in (flush, [as_packed(CAMERA, each) for each in flush]):
        with closing(ClickHouseSink(server)) as sink:
            sink.put_late(CAMERA, changes)
        found.append(ask(server, "SELECT * FROM late_events ORDER BY ALL"))
        ask(server, "TRUNCATE TABLE late_events")
    assert found[0] == found[1]
    assert len(found[0]) == 3
    assert blocks == [2, 1]


def test_late_events_of_too_many_months_go_as_lists() -> None:
    """Then an insert is cut by time."""
    at = Progress(CAMERA.name, CAMERA.topic, 0)
    for years, possible in ((1, True), (9, False)):
        events = LateEvents.of([late(1, offset=1), late(2, -years * 366 * 86_400, offset=2)])
        changes = as_packed(CAMERA, Changes(at, Rows(), [], events, []))
        assert (late_blocks(CAMERA, [changes]) is not None) is possible
        assert (packed_blocks([changes]) is not None) is possible


def test_a_number_below_zero_is_refused_as_ever(server: ClickHouseAccess) -> None:
    """No column of the store takes it, and it does not wrap."""
    rows = Rows.of([random_row(CAMERA, Random(1), 1)])
    wrong = late(7, offset=3, events=-1)
    at = Progress(CAMERA.name, CAMERA.topic, 0)
    flush = Changes(at, packed_rows(CAMERA, rows), [], LateEvents.of([wrong]), [])
    assert packed_blocks([flush]) is None
    with closing(ClickHouseSink(server)) as sink, pytest.raises(SinkRejected):
        sink.put_rows(CAMERA, [flush])


def test_a_column_of_another_type_gets_values(server: ClickHouseAccess, blocks: list[int]) -> None:
    """Bytes go only to the type that they are made for; 64-bit numbers fit 128 bits too."""
    rows = Rows.of([random_row(QR, Random(n), n) for n in range(50)])
    flush = Changes(Progress(QR.name, QR.topic, 0), rows, [], LateEvents(), [])
    ask(server, f"ALTER TABLE {QR.table} MODIFY COLUMN failed UInt128")
    expected = put(server, QR, [flush])
    assert put(server, QR, [as_packed(QR, flush)]) == expected
    assert blocks == [50]
    ask(server, f"ALTER TABLE {QR.table} MODIFY COLUMN failed Float64")
    assert put(server, QR, [as_packed(QR, flush)]) == put(server, QR, [flush])
    assert blocks == [50]


def test_rows_of_too_many_months_go_as_lists() -> None:
    """Then an insert is cut by time."""
    rows = [random_row(CAMERA, Random(n), n) for n in range(4)]
    at = Progress(CAMERA.name, CAMERA.topic, 0)
    flush = as_packed(CAMERA, Changes(at, Rows.of(rows), [], LateEvents(), []))
    assert packed_blocks([flush]) is not None
    old = as_packed(CAMERA, Changes(at, Rows.of([(0, *rows[0][1:]), rows[1]]), [], LateEvents(), []))
    assert packed_blocks([old]) is None


def test_many_rows_are_several_inserts(
    server: ClickHouseAccess, blocks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut between partitions; the rows of one stay together."""
    monkeypatch.setattr(packed, "MAX_PACKED", 5)
    at = Progress(CAMERA.name, CAMERA.topic, 0)
    rows = [[random_row(CAMERA, Random(n), 100 * p + n) for n in range(p)] for p in (2, 3, 1, 7)]
    flush = [
        as_packed(CAMERA, Changes(replace(at, partition=p), Rows.of(some), [], LateEvents(), []))
        for p, some in enumerate(rows)
    ]
    with closing(ClickHouseSink(server)) as sink:
        sink.put_rows(CAMERA, flush)
    assert blocks == [2, 3, 1, 7]
    assert ask(server, f"SELECT partition, count() FROM {CAMERA.table} GROUP BY ALL ORDER BY ALL") == [
        (0, 2), (1, 3), (2, 1), (3, 7),
    ]  # fmt: skip
    ask(server, f"TRUNCATE TABLE {CAMERA.table}")
