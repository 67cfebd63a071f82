"""What every sink must do: one suite on the sink in memory and on the real engine."""

import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from sinks.clickhouse import ClickHouseAccess
from sinks.memory import MemorySink
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.catalog.qr import SPEC as QR
from streams.core.breaker import Breaker
from streams.core.late import LateEvents
from streams.core.rows import Row, Rows
from streams.core.values import Changes, ClosedPane, DeadLetter, Noted, PaneIds, Progress
from streams.sink import Sink
from streams.spec import StreamSpec
from tests.support.clickhouse import HasClickHouse, ask, camera_row, changes, late, new_database, qr_row

T0_MS = 1_715_587_200_000
TOPIC = CAMERA.topic
LARGEST_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Store:
    """A sink, and what a reader of its tables sees."""

    sink: Sink
    server: ClickHouseAccess | None = None

    def rows(self, spec: StreamSpec = CAMERA) -> list[tuple[int, Row]]:
        """Every row of the stream's table with its partition, newest versions only, in order."""
        if isinstance(self.sink, MemorySink):
            found = [(int(str(key[-2])), row) for key, row in self.sink.rows(spec).items()]
        else:
            names = ", ".join(("toUnixTimestamp(window_start)", *spec.columns[1:]))
            found = [
                (partition, row)
                for partition, *row in self.ask(f"SELECT partition, {names} FROM {spec.table} FINAL")
            ]
        return sorted((partition, tuple(row)) for partition, row in found)

    def late(self) -> list[tuple[int, int, str, int]]:
        """Of each registered late event: id, offset, event_id, occurred_ms."""
        if isinstance(self.sink, MemorySink):
            found = [(e.id, e.position[0], e.event_id, e.occurred_ms) for e in self.sink.late_events(TOPIC)]
        else:
            found = self.ask(
                "SELECT id, offset, event_id, toUnixTimestamp64Milli(occurred_at) FROM late_events FINAL"
            )
        return sorted(found)

    def dead(self, partition: int = 0) -> list[DeadLetter]:
        """The dead letters of a partition, in order."""
        if isinstance(self.sink, MemorySink):
            return self.sink.dead_letters(TOPIC, partition)
        rows = self.ask(
            "SELECT offset, `index`, toUnixTimestamp64Milli(append_time), field, reason, hex(raw) "
            f"FROM dead_letters FINAL WHERE partition = {partition} ORDER BY offset, `index`"
        )
        return [DeadLetter(*rest, bytes.fromhex(raw)) for *rest, raw in rows]

    def noted(self, partition: int = 0) -> list[Noted]:
        """What is noted of a partition, in order."""
        if isinstance(self.sink, MemorySink):
            return self.sink.noted(TOPIC, partition)
        rows = self.ask(
            "SELECT offset, toUnixTimestamp64Milli(append_time), source, indexes "
            f"FROM noted FINAL WHERE partition = {partition} ORDER BY offset"
        )
        return [Noted(*rest, array("I", indexes)) for *rest, indexes in rows]  # type: ignore[misc,arg-type] # as asked

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        assert self.server
        return ask(self.server, sql)


@pytest.fixture(params=["memory", "clickhouse"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield Store(MemorySink())
        return
    stack: HasClickHouse = request.getfixturevalue("stack")
    server = new_database(stack)
    sink = ClickHouseSink(server)
    yield Store(sink, server)
    sink.close()


def test_a_new_store_knows_nothing(store: Store) -> None:
    """No progress, no ids, no rows."""
    assert store.sink.progress(TOPIC, range(6)) == {}
    assert store.sink.pane_ids(TOPIC, {0: {T0_MS}}) == {}
    assert store.rows() == []


def test_progress_comes_back_field_by_field(store: Store) -> None:
    """Each field of progress is stored, also at the ends of its range."""
    first = Progress(
        CAMERA.name, TOPIC, 3, epoch=65_535, next_offset=2**48 - 1, replay_from=12, pane_ms=60_000,
        watermark_ms=T0_MS, max_event_ms=T0_MS + 1, max_append_ms=T0_MS + 2, folded=2**60, duplicates=4,
        late=5, dead=6, topic_id="t0pic-Id_",
    )  # fmt: skip
    second = Progress(CAMERA.name, TOPIC, 65_535)
    store.sink.put_progress(CAMERA, [Changes(p, Rows(), [], LateEvents(), []) for p in (first, second)])
    assert store.sink.progress(TOPIC, [3, 65_535, 9]) == {3: first, 65_535: second}


def test_the_newest_progress_wins_whatever_the_order(store: Store) -> None:
    """A zombie's older position changes nothing; a higher epoch wins over any offset."""
    for epoch, offset in ((0, 10), (0, 30), (0, 20), (0, 30), (1, 5), (0, 99)):
        store.sink.put_progress(CAMERA, [changes(CAMERA, epoch=epoch, next_offset=offset)])
    assert store.sink.progress(TOPIC, [0])[0].version == 1 << 48 | 5


def test_progress_is_that_of_the_topic_and_partitions_asked_for(store: Store) -> None:
    """Other topics and partitions stay out of the answer."""
    store.sink.put_progress(CAMERA, [changes(CAMERA, 0, next_offset=1), changes(CAMERA, 1, next_offset=2)])
    store.sink.put_progress(QR, [changes(QR, 0, next_offset=3)])
    assert {p: g.next_offset for p, g in store.sink.progress(TOPIC, [1]).items()} == {1: 2}
    assert {p: g.next_offset for p, g in store.sink.progress(QR.topic, [0, 1]).items()} == {0: 3}


def test_a_row_is_its_newest_version(store: Store) -> None:
    """Running totals replace each other; a lower version, and the same one again, change nothing.

    writes   v10: 1 event   v30: 3 events   v20: 2 events (zombie)   v30 again
    table    1              3               3                         3
    """
    seen = []
    for offset, events in ((10, 1), (30, 3), (20, 2), (30, 3)):
        store.sink.put_rows(CAMERA, [changes(CAMERA, rows=[camera_row(offset=offset, events=events)])])
        seen.append([row for _, row in store.rows()])
    newest = camera_row(offset=30, events=3)
    assert seen == [[camera_row(offset=10, events=1)], [newest], [newest], [newest]]


def test_a_higher_epoch_wins_over_any_offset(store: Store) -> None:
    """Rows of a reprocessed topic replace those of its earlier life."""
    for epoch, offset in ((0, 2**48 - 1), (1, 0), (0, 2**48 - 1)):
        row = camera_row(offset=offset, epoch=epoch, events=1 + epoch)
        store.sink.put_rows(CAMERA, [changes(CAMERA, epoch=epoch, rows=[row])])
    assert store.rows() == [(0, camera_row(offset=0, epoch=1, events=2))]


def test_rows_differ_by_window_dimensions_partition_and_late_id(store: Store) -> None:
    """Each of these makes a row of its own, and none hides another."""
    one = [camera_row(), camera_row(60), camera_row(camera_id="cam-2")]
    store.sink.put_rows(CAMERA, [changes(CAMERA, 0, rows=one, late=[late(7, offset=3), late(8, offset=4)])])
    store.sink.put_rows(CAMERA, [changes(CAMERA, 1, rows=[camera_row()])])
    expected = [(0, row) for row in (*one, late(7, offset=3).row, late(8, offset=4).row)]
    assert store.rows() == sorted([*expected, (1, camera_row())])


def test_several_partitions_in_one_call(store: Store) -> None:
    """One flush of a stream covers the partitions of a worker."""
    flush = [changes(CAMERA, p, rows=[camera_row(offset=p, events=p + 1)]) for p in range(6)]
    store.sink.put_rows(CAMERA, flush)
    assert store.rows() == [(p, camera_row(offset=p, events=p + 1)) for p in range(6)]


def test_window_lengths_are_rows_of_their_own(store: Store) -> None:
    """Panes of five minutes do not replace those of one minute."""
    store.sink.put_rows(CAMERA, [changes(CAMERA, rows=[camera_row(offset=9)])])
    store.sink.put_rows(CAMERA, [changes(CAMERA, rows=[camera_row(offset=1)], pane_ms=300_000)])
    assert [row for _, row in store.rows()] == [camera_row(offset=1), camera_row(offset=9)]


def test_dimensions_are_any_text(store: Store) -> None:
    """Diacritics, quotes, backslashes, 64 characters beyond the basic plane, and the empty string."""
    names = ["Tuyên Quang", "it's", '"', "\\", "\\'; DROP TABLE", "𝕏" * 64, "", "a b"]
    rows = [camera_row(offset=i, camera_id=name) for i, name in enumerate(names)]
    store.sink.put_rows(CAMERA, [changes(CAMERA, rows=rows)])
    assert sorted(row[1] for _, row in store.rows()) == sorted(names)


def test_histograms_come_back(store: Store) -> None:
    """Buckets and weights of a distribution are stored as they are, also empty and large ones."""
    rows = [
        camera_row(0, speeds={}),
        camera_row(60, speeds={0: 1, 100: 2, 35_000: 3}),
        camera_row(120, speeds={n: n + 1 for n in range(2000)}),
    ]
    store.sink.put_rows(CAMERA, [changes(CAMERA, rows=rows)])
    assert [row for _, row in store.rows()] == rows


def test_sums_of_the_largest_amounts_do_not_wrap(store: Store) -> None:
    """4,096 payments of 2**53 - 1 dong each in one window need more than 64 bits."""
    amount = 4096 * (2**53 - 1)
    store.sink.put_rows(QR, [changes(QR, rows=[qr_row(0, offset=1, amount_vnd=amount)])])
    at = QR.columns.index("amount_vnd")
    assert [row[at] for _, row in store.rows(QR)] == [amount]


def test_a_backfill_of_ten_years_in_one_flush(store: Store) -> None:
    """120 months of rows, late events and dead letters at once: more than one insert may touch."""
    days = range(0, 3650, 5)
    flush = changes(
        CAMERA,
        rows=[camera_row(day * 86_400, offset=day) for day in days],
        late=[late(day + 1, day * 86_400, offset=day) for day in days],
        dead=[DeadLetter(day, 0, T0_MS + day * 86_400_000, "", "broken", b"x") for day in days],
    )
    for put in (store.sink.put_rows, store.sink.put_late, store.sink.put_dead):
        put(CAMERA, [flush])
    assert len(store.rows()) == 2 * len(days)
    assert len(store.late()) == len(store.dead()) == len(days)


def test_ids_of_closed_panes_come_back(store: Store) -> None:
    """Sorted, unsigned, with both ends of the range; panes and partitions kept apart."""
    pane = ClosedPane(T0_MS, array("Q", [1, 255, 2**63, LARGEST_ID]))
    other = ClosedPane(T0_MS + 60_000, array("Q", [5]))
    store.sink.put_ids(CAMERA, [changes(CAMERA, 0, closed=[pane, other]), changes(CAMERA, 1, closed=[other])])
    found = store.sink.pane_ids(TOPIC, {0: {T0_MS, T0_MS + 60_000, T0_MS + 120_000}, 1: {T0_MS}})
    assert {key: list(known.on_time) for key, known in found.items()} == {
        (0, T0_MS): list(pane.ids),
        (0, T0_MS + 60_000): [5],
    }


def test_ids_written_twice_are_known_once(store: Store) -> None:
    """A replay and a zombie write the same ids again."""
    flush = [changes(CAMERA, closed=[ClosedPane(T0_MS, array("Q", [3, 9]))])]
    store.sink.put_ids(CAMERA, flush)
    store.sink.put_ids(CAMERA, flush)
    assert list(store.sink.pane_ids(TOPIC, {0: [T0_MS]})[0, T0_MS].on_time) == [3, 9]


def test_a_pane_that_closed_in_two_epochs_knows_the_ids_of_both(store: Store) -> None:
    """What was counted in an earlier life of the topic stays known; the result is sorted."""
    for epoch, ids in ((0, [3, 9]), (1, [1, 9, 12])):
        store.sink.put_ids(
            CAMERA, [changes(CAMERA, epoch=epoch, closed=[ClosedPane(T0_MS, array("Q", ids))])]
        )
    assert list(store.sink.pane_ids(TOPIC, {0: [T0_MS]})[0, T0_MS].on_time) == [1, 3, 9, 12]


def test_thousands_of_panes_in_one_lookup(store: Store) -> None:
    """A backlog in any order asks for the panes of days at once."""
    rng = random.Random(1)
    panes = [
        ClosedPane(T0_MS + n * 60_000, array("Q", sorted(rng.getrandbits(64) for _ in range(20))))
        for n in range(4000)
    ]
    store.sink.put_ids(CAMERA, [changes(CAMERA, 2, closed=panes)])
    wanted = [p.window_start_ms for p in panes] + [T0_MS - 60_000 * n for n in range(1, 1000)]
    found = store.sink.pane_ids(TOPIC, {2: wanted, 3: wanted})
    assert {key[1]: known.on_time for key, known in found.items()} == {
        p.window_start_ms: p.ids for p in panes
    }
    assert {key[0] for key in found} == {2}


def test_a_lookup_of_ids_brings_those_alone(store: Store) -> None:
    """Of panes full of ids, what was asked for: on time in any epoch, or late, each with its first place."""
    rng = random.Random(3)
    full = sorted({*(rng.getrandbits(64) for _ in range(100_000)), 1, LARGEST_ID})
    for epoch, ids in ((0, full), (1, [5, 8])):
        pane = ClosedPane(T0_MS, array("Q", ids))
        store.sink.put_ids(CAMERA, [changes(CAMERA, epoch=epoch, closed=[pane])])
    events = [late(6, offset=9), late(7, offset=2), late(8, 60, offset=3)]
    store.sink.put_late(CAMERA, [changes(CAMERA, late=events)])
    asked = {
        (0, T0_MS): [1, 5, 6, LARGEST_ID],
        (0, T0_MS + 60_000): [1, 8],
        (0, T0_MS - 60_000): [1],
        (1, T0_MS): [1],
    }
    assert store.sink.known_ids(TOPIC, asked) == {
        (0, T0_MS): PaneIds(array("Q", [1, 5, LARGEST_ID]), {6: (9, 0)}),
        (0, T0_MS + 60_000): PaneIds(array("Q"), {8: (3, 0)}),
    }
    assert store.sink.known_ids(TOPIC, {}) == {}


def test_more_ids_than_one_question_holds(store: Store) -> None:
    """A flush of late events may ask for tens of thousands, of one pane or of many."""
    panes = [
        ClosedPane(T0_MS + n * 60_000, array("Q", range(10, 60_000 if n == 0 else 40))) for n in range(400)
    ]
    store.sink.put_ids(CAMERA, [changes(CAMERA, 2, closed=panes)])
    asked = {(2, p.window_start_ms): range(50_000 if p is panes[0] else 20) for p in panes}
    found = store.sink.known_ids(TOPIC, asked)
    assert {key[1]: list(known.on_time) for key, known in found.items()} == {
        p.window_start_ms: list(range(10, 50_000 if p is panes[0] else 20)) for p in panes
    }


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_of_one_late_id_the_lowest_position_stays(store: Store, order: tuple[int, ...]) -> None:
    """Whatever is written later, a late id is known by where it stood first: by offset, then by index."""
    versions = [late(7, offset=10, index=3), late(7, offset=10, index=4), late(7, offset=11, index=0)]
    for n in order:
        store.sink.put_late(CAMERA, [changes(CAMERA, late=[versions[n]])])
    assert store.sink.pane_ids(TOPIC, {0: [T0_MS]}) == {(0, T0_MS): PaneIds(late={7: (10, 3)})}
    assert [(i, offset) for i, offset, *_ in store.late()] == [(7, 10)]


def test_late_ids_stand_beside_those_on_time(store: Store) -> None:
    """One lookup tells both, by pane and partition."""
    store.sink.put_ids(CAMERA, [changes(CAMERA, closed=[ClosedPane(T0_MS, array("Q", [1]))])])
    events = [late(LARGEST_ID, offset=5), late(8, 60, offset=6, index=99_999)]
    store.sink.put_late(CAMERA, [changes(CAMERA, late=events)])
    found = store.sink.pane_ids(TOPIC, {0: [T0_MS, T0_MS + 60_000], 1: [T0_MS]})
    assert found == {
        (0, T0_MS): PaneIds(array("Q", [1]), {LARGEST_ID: (5, 0)}),
        (0, T0_MS + 60_000): PaneIds((), {8: (6, 99_999)}),
    }
    assert store.late() == sorted((e.id, e.position[0], e.event_id, e.occurred_ms) for e in events)


def test_what_a_lookup_returns_belongs_to_the_caller(store: Store) -> None:
    """The caller remembers late events of its own in it; the store does not change by that."""
    store.sink.put_late(CAMERA, [changes(CAMERA, late=[late(7, offset=1)])])
    store.sink.pane_ids(TOPIC, {0: [T0_MS]})[0, T0_MS].late[8] = (2, 0)
    assert store.sink.pane_ids(TOPIC, {0: [T0_MS]})[0, T0_MS].late == {7: (1, 0)}


def test_dead_letters_keep_every_byte(store: Store) -> None:
    """Nothing, NUL, invalid UTF-8, quotes, all byte values, a megabyte of noise."""
    noise = random.Random(2).randbytes(2**20)
    raws = [b"", b"\0", b"\xff\xfe\xc3\x28", b"'\"\\\n\t", bytes(range(256)), noise]
    letters = [
        DeadLetter(n, n % 2, T0_MS + n, "speed_kmh", f"reason {n}: phải là số", raw)
        for n, raw in enumerate(raws)
    ]
    store.sink.put_dead(CAMERA, [changes(CAMERA, dead=letters), changes(CAMERA, 1, dead=letters[:1])])
    assert store.dead() == letters
    assert store.dead(1) == letters[:1]


def test_a_dead_letter_written_again_is_one(store: Store) -> None:
    """Keyed by position: a replay writes the same letter, and elements of a bundle stay apart."""
    letters = [DeadLetter(4, index, T0_MS, "", "wrong", b"[]") for index in range(3)]
    for _ in range(2):
        store.sink.put_dead(CAMERA, [changes(CAMERA, dead=letters)])
    assert store.dead() == letters


def test_a_reason_that_is_no_valid_unicode_is_stored(store: Store) -> None:
    """A lone surrogate in a message must not stop the stream; the letter is there."""
    letter = DeadLetter(1, 0, T0_MS, "kind", "not one of 'vehicle': '\ud800'", b"x")
    store.sink.put_dead(CAMERA, [changes(CAMERA, dead=[letter])])
    assert [replace(d, reason="") for d in store.dead()] == [replace(letter, reason="")]


def test_what_is_noted_comes_back_and_is_one_when_written_again(store: Store) -> None:
    """By message; of one message the last written stay."""
    first = [Noted(n, T0_MS + n, "gw", array("I", range(n, 10_000))) for n in (4, 7)]
    last = Noted(7, T0_MS + 7, "phường 2", array("I", [3, 2**32 - 1]))
    for noted in (first, first, [last]):
        store.sink.put_noted(CAMERA, [changes(CAMERA, noted=noted), changes(CAMERA, 1)])
    assert store.noted() == [first[0], last]
    assert store.noted(1) == []


def test_nothing_to_write_is_fine(store: Store) -> None:
    """A flush may have no rows, and there may be no changes at all."""
    for put in (
        store.sink.put_rows,
        store.sink.put_ids,
        store.sink.put_late,
        store.sink.put_dead,
        store.sink.put_noted,
        store.sink.put_progress,
    ):
        put(CAMERA, [])
        put(CAMERA, [changes(CAMERA)])
    assert store.rows() == []
    assert store.sink.progress(TOPIC, [0]) == {0: changes(CAMERA).progress}


def test_a_stream_that_was_never_paused_has_no_switch(store: Store) -> None:
    """All run, until somebody says otherwise."""
    assert store.sink.breakers() == {}


def test_a_switch_is_what_was_written_last(store: Store) -> None:
    """Each stream its own, every field; the reason may be any text."""
    paused = Breaker("camera").pause(T0_MS + 1, "5.001 of 10.000: 'lỗi', \\ and \"more\"")
    other = Breaker("qr").pause(T0_MS, "").resume(T0_MS + 2, "cured")
    for breaker in (paused, other, paused):
        store.sink.put_breaker(breaker)
    assert store.sink.breakers() == {"camera": paused, "qr": other}
    resumed = paused.skip({0: 7, 65_535: 2**64 - 1}, T0_MS + 3, "by hand")
    store.sink.put_breaker(resumed)
    assert store.sink.breakers() == {"camera": resumed, "qr": other}


def test_a_pause_that_was_resumed_does_not_come_back(store: Store) -> None:
    """A worker that has not heard of the resume writes the pause it knew."""
    paused = Breaker("camera").pause(T0_MS, "too many")
    resumed = paused.resume(T0_MS + 1, "by hand")
    for breaker in (paused, resumed, paused):
        store.sink.put_breaker(breaker)
    assert store.sink.breakers() == {"camera": resumed}
