"""The views that analysts get, on the real engine: names, exactness, percentiles, and how they read."""

import random
from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sinks.clickhouse import ClickHouseAccess
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.catalog.qr import SPEC as QR
from streams.catalog.service import SPEC as SERVICE
from streams.core.histogram import bucket
from streams.core.parts import LEAST, MOST
from streams.core.rows import Row
from streams.core.values import DeadLetter, Noted, Progress
from tests.support.clickhouse import (
    T0_S,
    HasClickHouse,
    ask,
    camera_row,
    changes,
    late,
    new_database,
    qr_row,
)

COLUMNS = {
    "camera_minute": "camera_id, ward_code, kind, object_class, violation_code, direction, events, objects,"
    " speed_avg, speed_max, speed_p50, speed_p85, late_events",
    "service_minute": "office_code, ward_code, procedure_code, channel, action, events, fee_vnd,"
    " fee_max_vnd, on_time, overdue, duration_avg_s, duration_p50_s, duration_p95_s, late_events",
    "qr_minute": "merchant_id, merchant_category, ward_code, provider, reports, succeeded, failed,"
    " amount_vnd, amount_max_vnd, amount_min_vnd, late_events",
}
PROGRESS = (
    "stream, topic, partition, next_offset, watermark, folded, duplicates, late, dead, strays, away,"
    " updated_at"
)


@pytest.fixture(scope="module")
def shared(stack: HasClickHouse) -> ClickHouseAccess:
    """A database for tests that write nothing."""
    return new_database(stack)


@pytest.fixture
def server(stack: HasClickHouse) -> ClickHouseAccess:
    """A database of the test's own."""
    return new_database(stack)


@pytest.fixture
def sink(server: ClickHouseAccess) -> Iterator[ClickHouseSink]:
    """A sink into it."""
    sink = ClickHouseSink(server)
    yield sink
    sink.close()


def put(sink: ClickHouseSink, *rows: Row, partition: int = 0) -> None:
    """Write camera rows as one flush: one part."""
    sink.put_rows(CAMERA, [changes(CAMERA, partition, rows=list(rows))])


def service_row(
    at_s: int,
    durations_ms: dict[int, int],
    *,
    offset: int = 1,
    largest: int | None = None,
    fee_max_vnd: int = LEAST,
) -> Row:
    """A row of service_windows, `returned` cases with these durations."""
    n, most = sum(durations_ms.values()), max(durations_ms, default=0)
    total = sum(value * k for value, k in durations_ms.items())
    dimensions = ("oso-1", "02200", "1.000656", "online", "returned")
    histogram = sorted(durations_ms), [durations_ms[d] for d in sorted(durations_ms)]
    most = most if largest is None else largest
    measured = (5 * n, fee_max_vnd, n, 0, n, total, most, *histogram)
    return (T0_S + at_s, *dimensions, 0, offset, n, *measured)


@pytest.mark.parametrize("view", COLUMNS)
def test_columns_are_the_contract(shared: ClickHouseAccess, view: str) -> None:
    """Names and order; window_start is local time, and no internal column shows."""
    found = ask(shared, f"DESCRIBE {view}")
    names = ["window_start", "window_seconds", *COLUMNS[view].split(", ")]
    assert [row[0] for row in found] == names
    assert found[0][1] == "DateTime('Asia/Ho_Chi_Minh')"


def test_columns_of_progress_are_the_contract(shared: ClickHouseAccess) -> None:
    """The view that operators and `songlo lag` read."""
    found = {row[0]: row[1] for row in ask(shared, "DESCRIBE stream_progress")}
    assert list(found) == PROGRESS.split(", ")
    assert found["watermark"] == "DateTime64(3, 'Asia/Ho_Chi_Minh')"


@pytest.mark.parametrize("view", [*COLUMNS, "stream_progress", "conservation", "unknown_wards"])
def test_a_new_database_answers_with_nothing(shared: ClickHouseAccess, view: str) -> None:
    """Every view can be read before the first event, from any database."""
    elsewhere = ClickHouseAccess(shared.host, shared.port, "default")
    assert ask(elsewhere, f"SELECT * FROM {shared.database}.{view}") == []


def test_a_window_is_one_row_over_partitions_and_late_events(
    server: ClickHouseAccess, sink: ClickHouseSink
) -> None:
    """What several partitions and late rows hold of a window is added up.

    partition 0   [3 events]  [late: 1]  [late: 1]
    partition 1   [4 events]
    camera_minute  9 events, 2 of them late
    """
    flush = changes(CAMERA, rows=[camera_row(events=3)], late=[late(7, offset=8), late(9, offset=9)])
    sink.put_rows(CAMERA, [flush])
    put(sink, camera_row(events=4), partition=1)
    columns = "toUnixTimestamp(window_start), window_seconds, camera_id, events, objects, late_events"
    assert ask(server, f"SELECT {columns} FROM camera_minute") == [(T0_S, 60, "cam-1", 9, 18, 2)]


def test_views_are_exact_over_unmerged_parts(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Each flush is a part; versions in any order, a zombie's old rows after newer ones, replays.

    Merges are stopped, so the view alone must tell the newest version of each row.
    """
    ask(server, "SYSTEM STOP MERGES camera_windows")
    rng = random.Random(3)
    newest: dict[int, int] = {}
    writes = [(minute, offset) for minute in range(5) for offset in range(1, 9)]
    rng.shuffle(writes)
    for minute, offset in writes:
        newest[minute] = max(newest.get(minute, 0), offset)
        put(sink, camera_row(minute * 60, offset=offset, events=offset * 10))
        found = ask(server, "SELECT toUnixTimestamp(window_start), events FROM camera_minute")
        assert dict(found) == {T0_S + m * 60: v * 10 for m, v in newest.items()}
    parts = "SELECT count() FROM system.parts WHERE active AND table = 'camera_windows'"
    assert ask(server, f"{parts} AND database = currentDatabase()") == [(len(writes),)]
    ask(server, "SYSTEM START MERGES camera_windows")
    ask(server, "OPTIMIZE TABLE camera_windows FINAL")
    assert dict(ask(server, "SELECT toUnixTimestamp(window_start), events FROM camera_minute")) == {
        T0_S + m * 60: 80 for m in range(5)
    }


def test_a_zombies_lower_version_loses_in_every_measure(
    server: ClickHouseAccess, sink: ClickHouseSink
) -> None:
    """A row counts whole or not at all: no measure of a lower version leaks into the view."""
    put(sink, camera_row(offset=20, events=2, speeds={30_000: 2}))
    put(sink, camera_row(offset=10, events=1, speeds={90_000: 1}))
    columns = "events, objects, speed_avg, speed_max, speed_p50, speed_p85"
    assert ask(server, f"SELECT {columns} FROM camera_minute") == [(2, 4, 30.0, 30.0, 30.0, 30.0)]


def test_windows_on_both_sides_of_a_month_boundary(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Partitions are local months; a flush across the boundary is exact on both sides.

    31 May 23:59 +07 | 1 June 00:00 +07
    """
    midnight = 1_717_174_800 - T0_S
    for offset in (1, 2):
        put(sink, *(camera_row(midnight + s, offset=offset, events=offset) for s in (-60, 0)))
    found = ask(server, "SELECT toString(window_start), events FROM camera_minute ORDER BY window_start")
    assert found == [("2024-05-31 23:59:00", 2), ("2024-06-01 00:00:00", 2)]
    partitions = "SELECT DISTINCT partition FROM system.parts WHERE database = currentDatabase() AND rows > 0"
    assert {p for (p,) in ask(server, f"{partitions} AND table = 'camera_windows'")} == {"202405", "202406"}


def nearest_rank(values: list[int], percent: int) -> int:
    """The percentile as text books define it."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


@pytest.mark.parametrize("seed", range(6))
def test_percentiles_are_within_one_percent(
    server: ClickHouseAccess, sink: ClickHouseSink, seed: int
) -> None:
    """Speeds spread over six partitions: p50 and p85 of the merged histograms against the truth."""
    rng = random.Random(seed)
    count = rng.choice([1, 2, 3, 20, 100, 1000])
    speeds = [round(min(1_000_000, rng.lognormvariate(10.5, 0.7))) for _ in range(count)]
    by_partition: dict[int, list[int]] = {}
    for speed in speeds:
        by_partition.setdefault(rng.randrange(6), []).append(speed)
    for partition, some in by_partition.items():
        put(sink, measured(some), partition=partition)
    ((average, largest, p50, p85),) = ask(
        server, "SELECT speed_avg, speed_max, speed_p50, speed_p85 FROM camera_minute"
    )
    assert average == pytest.approx(sum(speeds) / len(speeds) / 1000)
    assert largest == max(speeds) / 1000
    assert p50 == pytest.approx(nearest_rank(speeds, 50) / 1000, rel=0.01)
    assert p85 == pytest.approx(nearest_rank(speeds, 85) / 1000, rel=0.01)
    assert p50 <= p85 <= largest


def measured(values: list[int]) -> Row:
    """A camera row with these speeds, in thousandths of km/h, as the fold writes it."""
    row = list(camera_row(events=len(values), speeds=histogram(values)))
    row[-4], row[-3] = sum(values), max(values)
    return tuple(row)


def histogram(values: list[int]) -> dict[int, int]:
    """Values by bucket."""
    found: dict[int, int] = {}
    for value in values:
        found[bucket(value)] = found.get(bucket(value), 0) + 1
    return found


def test_nothing_measured_is_null(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Events without a speed have none: not zero, not NaN. A speed of zero is a speed."""
    put(sink, camera_row(0, events=5), camera_row(60, events=1, speeds={0: 1}))
    row = service_row(0, {})
    sink.put_rows(SERVICE, [changes(SERVICE, rows=[(*row[:8], 1, *row[9:])])])
    speeds = "speed_avg, speed_max, speed_p50, speed_p85"
    assert ask(server, f"SELECT {speeds} FROM camera_minute ORDER BY window_start") == [
        (None, None, None, None),
        (0.0, 0.0, 0.0, 0.0),
    ]
    durations = "duration_avg_s, duration_p50_s, duration_p95_s"
    assert ask(server, f"SELECT {durations} FROM service_minute") == [(None, None, None)]


def test_the_rank_of_a_percentile_is_exact(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Nearest rank, in integers: of 1 s to 100 s the 95th is 95 s, the 50th is 50 s; of 20, 19 and 10."""
    for minute, count in enumerate((100, 20, 1)):
        row = service_row(minute * 60, {1000 * n: 1 for n in range(1, count + 1)})
        sink.put_rows(SERVICE, [changes(SERVICE, rows=[row])])
    columns = "duration_avg_s, duration_p50_s, duration_p95_s, fee_vnd, on_time, overdue"
    assert ask(server, f"SELECT {columns} FROM service_minute ORDER BY window_start") == [
        (50.5, 50.0, 95.0, 500, 100, 0),
        (10.5, 10.0, 19.0, 100, 20, 0),
        (1.0, 1.0, 1.0, 5, 1, 0),
    ]


def test_a_percentile_is_never_above_the_maximum(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """A bucket's representative may lie above the largest value in it; then that value is nearer."""
    sink.put_rows(SERVICE, [changes(SERVICE, rows=[service_row(0, {1010: 1}, largest=1000)])])
    assert ask(server, "SELECT duration_p95_s FROM service_minute") == [(1.0,)]


def test_durations_of_a_century_add_up(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Sums of durations do not wrap where a column of 64 bits still holds each."""
    century_ms = 100 * 365 * 86_400_000
    rows = [service_row(0, {century_ms: 5_000_000}, offset=p) for p in range(2)]
    for partition, row in enumerate(rows):
        sink.put_rows(SERVICE, [changes(SERVICE, partition, rows=[row])])
    assert ask(server, "SELECT duration_avg_s FROM service_minute") == [(century_ms / 1000,)]


def test_amounts_do_not_wrap(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Rows near the end of 64 bits add up beyond it."""
    for partition in range(3):
        row = qr_row(0, offset=1, amount_vnd=2**63, succeeded=2)
        sink.put_rows(QR, [changes(QR, partition, rows=[row])])
    columns = "reports, succeeded, failed, amount_vnd, late_events"
    assert ask(server, f"SELECT {columns} FROM qr_minute") == [(3, 6, 0, 3 * 2**63, 0)]


def test_extremes_are_those_of_all_rows(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Over partitions and late rows, whichever of them have a value; of no value NULL, while 0 is a value."""
    fees = [(0, 0, LEAST), (0, 1, 700), (0, 2, 30), (60, 0, 0), (60, 1, LEAST), (120, 0, LEAST)]
    for at_s, partition, fee in fees:
        row = service_row(at_s, {1000: 1}, fee_max_vnd=fee)
        sink.put_rows(SERVICE, [changes(SERVICE, partition, rows=[row])])
    one, *others = (qr_row(0, offset=n, amount_vnd=amount) for n, amount in enumerate((40, 7, 900)))
    late_rows = [(*row[:5], n + 1, *row[6:]) for n, row in enumerate(others)]
    nothing = (*qr_row(60, offset=1, amount_vnd=0)[:-2], LEAST, MOST)
    sink.put_rows(QR, [changes(QR, rows=[one, *late_rows, nothing])])
    assert ask(server, "SELECT fee_max_vnd FROM service_minute ORDER BY window_start") == [
        (700,), (0,), (None,),
    ]  # fmt: skip
    columns = "reports, amount_max_vnd, amount_min_vnd, late_events"
    assert ask(server, f"SELECT {columns} FROM qr_minute ORDER BY window_start") == [
        (3, 900, 7, 2), (1, None, None, 0),
    ]  # fmt: skip


def explain(server: ClickHouseAccess, where: str) -> dict[str, dict[str, Any]]:
    """The indexes that a read of camera_minute uses, by kind: condition, and granules selected of all."""
    text = [line for (line,) in ask(server, f"EXPLAIN indexes = 1 SELECT * FROM camera_minute WHERE {where}")]
    found: dict[str, dict[str, Any]] = {}
    kind = ""
    for line in (raw.strip(" │├└─") for raw in text):
        if line in ("Min-Max", "MinMax", "Partition", "PrimaryKey"):
            kind = line.replace("-", "")
            found[kind] = {}
        elif kind and line.startswith("Condition: "):
            found[kind]["condition"] = line.removeprefix("Condition: ")
        elif kind and line.startswith("Granules: "):
            found[kind]["granules"] = tuple(int(n) for n in line.removeprefix("Granules: ").split("/"))
    return found


def test_a_window_filter_reaches_the_index_below_final(
    server: ClickHouseAccess, sink: ClickHouseSink
) -> None:
    """A dashboard's last hour reads granules of that hour only: the filter passes GROUP BY and FINAL."""
    rows = [camera_row(60 * n, offset=n, camera_id=f"cam-{n % 7}") for n in range(100_000)]
    put(sink, *rows)
    ask(server, "OPTIMIZE TABLE camera_windows FINAL")
    used = explain(
        server,
        f"window_start >= toDateTime({T0_S + 3_000_000}) AND window_start < toDateTime({T0_S + 3_003_600})",
    )
    assert "window_start" in used["PrimaryKey"]["condition"]
    selected, total = used["PrimaryKey"]["granules"]
    assert 1 <= selected <= 2
    assert total <= 6, "other months were not left out"


def test_a_filter_by_camera_reaches_the_index(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """One camera's history uses the key as well."""
    put(sink, *(camera_row(0, offset=n, camera_id=f"cam-{n:05}") for n in range(50_000)))
    used = explain(server, "camera_id = 'cam-00007'")
    assert "camera_id" in used["PrimaryKey"]["condition"]
    selected, total = used["PrimaryKey"]["granules"]
    assert selected < total


def test_a_filter_on_a_measure_is_not_applied_to_old_versions(
    server: ClickHouseAccess, sink: ClickHouseSink
) -> None:
    """A condition on totals sees the newest row, or none: a superseded row never comes back through it."""
    put(sink, camera_row(offset=1, events=5))
    put(sink, camera_row(offset=2, events=9))
    assert ask(server, "SELECT events FROM camera_minute WHERE events = 5") == []
    assert ask(server, "SELECT events FROM camera_minute WHERE events = 9") == [(9,)]


def test_stream_progress_shows_the_newest_position(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """One row per partition, the watermark in local time."""
    for offset in (5, 9, 7):
        at = {"next_offset": offset, "watermark_ms": T0_S * 1000 + 250, "folded": offset}
        sink.put_progress(CAMERA, [changes(CAMERA, 1, **at)])
    columns = "stream, topic, partition, next_offset, toString(watermark), folded, duplicates, late, dead"
    assert ask(server, f"SELECT {columns} FROM stream_progress") == [
        ("camera", "camera.events", 1, 9, "2024-05-13 15:00:00.250", 9, 0, 0, 0)
    ]


def test_conservation_gives_its_verdict(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Exact when tables hold what progress accounts for, ahead during a flush, missing never; by partition.

    flush   rows  late  dead  | progress
    verdict             ahead | exact
    """
    dead = [DeadLetter(3, 0, T0_S * 1000, "", "broken", b"{")]
    flush = changes(
        CAMERA, rows=[camera_row(events=4)], late=[late(7, offset=9)], dead=dead,
        next_offset=10, folded=4, duplicates=2, homes=2,
    )  # fmt: skip
    sink.put_progress(CAMERA, [changes(CAMERA, 0), changes(CAMERA, 1, next_offset=5, folded=5, homes=2)])
    for step in (sink.put_rows, sink.put_late, sink.put_dead):
        step(CAMERA, [flush])
    verdicts = "SELECT partition, events_read, verdict FROM conservation ORDER BY partition"
    assert ask(server, verdicts) == [(0, 0, "ahead"), (1, 5, "missing")]
    sink.put_progress(CAMERA, [flush])
    sink.put_rows(CAMERA, [changes(CAMERA, 1, rows=[camera_row(events=5)])])
    assert ask(server, verdicts) == [(0, 8, "exact"), (1, 5, "exact")]


def test_conservation_says_where_repeats_may_have_counted(
    server: ClickHouseAccess, sink: ClickHouseSink
) -> None:
    """Strays are in the balance; away from home, and where no homes are known, no more than this can be said.

    partition   0          1            2          3            4              5
                at home    one away     unknown    nothing yet  refused only   away, and a row is missing
    """
    rows = [camera_row(events=2)]
    counted = {"next_offset": 9, "folded": 2}
    flushes = [
        changes(CAMERA, 0, rows=rows, homes=6, strays=3, **counted),
        changes(CAMERA, 1, rows=rows, homes=6, away=1, **counted),
        changes(CAMERA, 2, rows=rows, **counted),
        changes(CAMERA, 3),
        changes(CAMERA, 4, dead=[DeadLetter(3, 0, T0_S * 1000, "", "broken", b"{")]),
        changes(CAMERA, 5, homes=6, away=1, **counted),
    ]
    for step in (sink.put_rows, sink.put_dead, sink.put_progress):
        step(CAMERA, flushes)
    columns = "partition, events_read, strays, away, verdict"
    assert ask(server, f"SELECT {columns} FROM conservation ORDER BY partition") == [
        (0, 5, 3, 0, "exact"),
        (1, 2, 0, 1, "exact if no repeats"),
        (2, 2, 0, 0, "exact if no repeats"),
        (3, 0, 0, 0, "exact"),
        (4, 1, 0, 0, "exact"),
        (5, 2, 0, 1, "missing"),
    ]


def test_conservation_counts_each_refused_event_once(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """As a letter, noted, or both; a place of another epoch is another event.

    offset    1 (noted)   3 (bundle: letters 0 and 1, noted 1, 2 and 3)   5 (letter)   3 in epoch 1 (noted)
    """
    letters = [
        DeadLetter(3, 0, 0, "", "", b""),
        DeadLetter(3, 1, 0, "", "", b""),
        DeadLetter(5, 0, 0, "", "", b""),
    ]
    noted = [Noted(1, 0, "gw", array("I", [0])), Noted(3, 0, "gw", array("I", [1, 2, 3]))]
    flush = changes(CAMERA, dead=letters, noted=noted)
    again = changes(CAMERA, noted=[Noted(3, 0, "gw", array("I", [0]))], epoch=1)
    verdict = "SELECT dead_stored, verdict FROM conservation"
    for number, expected in ((6, "ahead"), (7, "exact"), (8, "missing")):
        at = Progress("camera", CAMERA.topic, 0, next_offset=number, dead=number)
        sink.put_progress(CAMERA, [replace(flush, progress=at)])
        sink.put_dead(CAMERA, [flush])
        sink.put_noted(CAMERA, [flush, again])
        assert ask(server, verdict) == [(7, expected)]
    assert ask(server, "SELECT stream, source, events, not_fetched FROM noted_letters") == [
        ("camera", "gw", 5, 4)
    ]


def test_unknown_wards_are_counted(server: ClickHouseAccess, sink: ClickHouseSink) -> None:
    """Codes that the reference table does not know, over all streams; known ones stay out."""
    strange = list(camera_row(events=3))
    strange[2] = "99999"
    put(sink, tuple(strange), camera_row(60, events=2))
    payment = list(qr_row(0, offset=1, amount_vnd=1))
    payment[3] = ""
    sink.put_rows(QR, [changes(QR, rows=[tuple(payment)])])
    found = ask(server, "SELECT stream, ward_code, events FROM unknown_wards ORDER BY stream")
    assert found == [("camera", "99999", 3), ("qr", "", 1)]


def test_reference_tables_are_there(shared: ClickHouseAccess) -> None:
    """15 wards with diacritics, 436 cameras in 12 of them, offices, procedures, merchants."""
    assert ask(shared, "SELECT count(), countIf(name = 'Phan Thiết') FROM wards") == [(15, 1)]
    assert ask(shared, "SELECT count(), uniqExact(ward_code) FROM cameras") == [(436, 12)]
    for table in ("offices", "procedures", "merchants"):
        assert ask(shared, f"SELECT count() > 0 FROM {table}") == [(1,)]
    unknown = "SELECT count() FROM cameras WHERE ward_code NOT IN (SELECT ward_code FROM wards)"
    assert ask(shared, unknown) == [(0,)]
