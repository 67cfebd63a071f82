"""Migrations on the real engine: applied once, safe at once, and the check that a worker starts with."""

import re
import shutil
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from sinks.clickhouse import ClickHouseAccess, Session
from sinks.migrate import SQL, MigrationError, migrate, read_migrations
from sinks.schema import TableMismatch, check_schema
from sinks.store import ClickHouseSink
from streams.catalog.camera import SPEC as CAMERA
from streams.registry import load_streams
from streams.sink import SinkError, SinkRejected
from streams.spec import StreamSpec
from tests.support.clickhouse import HasClickHouse, ask, camera_row, changes, new_database

FILES = [path.name for path in sorted(SQL.glob("*.sql"))]


@pytest.fixture
def empty(stack: HasClickHouse) -> ClickHouseAccess:
    """A database that does not exist yet."""
    return ClickHouseAccess.at(stack.clickhouse, database=f"test_{uuid4().hex[:12]}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the migrations, to change."""
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


def specs() -> list[StreamSpec]:
    """All stream definitions."""
    return list(load_streams().values())


def test_migrations_are_applied_once(empty: ClickHouseAccess) -> None:
    """The first run creates the database and applies every file; the second finds nothing to do."""
    assert migrate(empty, specs()) == FILES
    before = ask(empty, "SELECT * FROM schema_migrations ORDER BY number")
    assert migrate(empty, specs()) == []
    assert ask(empty, "SELECT * FROM schema_migrations ORDER BY number") == before
    assert [row[1] for row in before] == FILES


def test_several_programs_migrate_at_once(empty: ClickHouseAccess) -> None:
    """Four start together on a server without the database: each succeeds, nothing is there twice."""
    barrier, errors = threading.Barrier(4), list[Exception]()

    def run() -> None:
        barrier.wait()
        try:
            migrate(empty, specs())
        except SinkError as e:
            errors.append(e)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ask(empty, "SELECT name FROM schema_migrations FINAL ORDER BY number") == [(n,) for n in FILES]
    assert ask(empty, "SELECT count(), uniqExact(ward_code) FROM wards") == [(15, 15)]
    assert ask(empty, "SELECT count() FROM streams") == [(len(specs()),)]
    leftovers = (
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '_[0-9a-f]{32}$')"
    )
    assert ask(empty, leftovers) == []


def test_rows_that_another_program_added_at_the_same_moment_are_replaced(empty: ClickHouseAccess) -> None:
    """Both found the table empty; the later one sees the rows of both, and leaves one set of them."""
    migrate(empty, specs())
    ask(empty, "INSERT INTO streams SELECT * FROM streams")
    migrate(empty, specs())
    assert ask(empty, "SELECT count(), uniqExact(name) FROM streams") == [(len(specs()), len(specs()))]


def test_a_migration_that_was_interrupted_starts_again(empty: ClickHouseAccess) -> None:
    """A file counts as applied only after its last statement; its first ones can be repeated."""
    migrate(empty, specs())
    with closing(ClickHouseSink(empty)) as sink:
        sink.put_rows(CAMERA, [changes(CAMERA, rows=[camera_row()])])
    ask(empty, "TRUNCATE TABLE schema_migrations")
    ask(empty, "DROP VIEW camera_minute")
    assert migrate(empty, specs()) == FILES
    assert ask(empty, "SELECT events FROM camera_minute") == [(1,)]


def test_rows_from_before_a_column_have_no_value_in_it(empty: ClickHouseAccess, directory: Path) -> None:
    """An extreme that nobody has kept is NULL, whether its row was there or an older worker writes it."""
    newer = {path: path.read_text("utf-8") for path in directory.glob("*.sql") if path.name > "0011"}
    for path in newer:
        path.unlink()
    before = "INSERT INTO qr_windows (window_start, window_seconds, events, amount_vnd) VALUES ({}, 60, 1, 5)"
    with pytest.raises(TableMismatch, match="qr_windows has no column amount_max_vnd"):
        migrate(empty, specs(), directory)
    ask(empty, before.format(1_715_587_200))
    for path, text in newer.items():
        path.write_text(text, "utf-8")
    migrate(empty, specs(), directory)
    ask(empty, before.format(1_715_587_260))
    columns = "amount_vnd, amount_max_vnd, amount_min_vnd"
    assert ask(empty, f"SELECT {columns} FROM qr_minute") == [(5, None, None)] * 2


def test_a_changed_file_is_refused(empty: ClickHouseAccess, directory: Path) -> None:
    """A database must not depend on which text of a file it met; the error names the file, and what to do."""
    migrate(empty, specs(), directory)
    changed = directory / FILES[-1]
    changed.write_text(changed.read_text("utf-8") + "\n-- a thought\n", encoding="utf-8")
    with pytest.raises(
        MigrationError, match=rf"sinks/sql/{FILES[-1]} is not what was applied.*restore the file"
    ):
        migrate(empty, specs(), directory)


def test_a_renamed_file_is_refused(empty: ClickHouseAccess, directory: Path) -> None:
    """A number belongs to one file for good."""
    migrate(empty, specs(), directory)
    (directory / FILES[-1]).rename(directory / f"{FILES[-1][:4]}_other.sql")
    with pytest.raises(MigrationError, match=f"applied to this database as {FILES[-1]}"):
        migrate(empty, specs(), directory)


def test_a_broken_statement_is_named_and_the_rest_waits(empty: ClickHouseAccess, directory: Path) -> None:
    """File, number of the statement, and the server's message; after a correction it goes on from there."""
    broken = directory / "0900_broken.sql"
    broken.write_text(
        "-- fine\nCREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = Memory;\nCREATE TABEL b;\n", "utf-8"
    )
    (directory / "0901_after.sql").write_text("SELECT 1;\n", encoding="utf-8")
    with pytest.raises(MigrationError, match=r"sinks/sql/0900_broken.sql, statement 2: .*Syntax error"):
        migrate(empty, specs(), directory)
    assert ask(empty, "SELECT max(number) FROM schema_migrations") == [(int(FILES[-1][:4]),)]
    broken.write_text("CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = Memory;\n", encoding="utf-8")
    assert migrate(empty, specs(), directory) == ["0900_broken.sql", "0901_after.sql"]


def test_a_database_of_a_newer_program_is_left_as_it_is(empty: ClickHouseAccess, directory: Path) -> None:
    """During a rolling upgrade an older worker meets migrations that it does not have."""
    (directory / "0900_newer.sql").write_text("SELECT 1;\n", encoding="utf-8")
    migrate(empty, specs(), directory)
    assert migrate(empty, specs()) == []


def test_reference_data_follows_the_files(empty: ClickHouseAccess) -> None:
    """Rows that are no longer in the packaged tables go, and those that are come back."""
    migrate(empty, specs())
    ask(empty, "ALTER TABLE wards DELETE WHERE ward_code = '02200' SETTINGS mutations_sync = 1")
    with closing(Session(empty)) as session:
        session.insert("wards", ("ward_code", "name"), [["99999"], ["Nowhere"]])
    migrate(empty, specs())
    assert ask(empty, "SELECT count(), countIf(ward_code IN ('02200', '99999')) FROM wards") == [(15, 1)]


def test_every_stream_has_its_table_and_view(stack: HasClickHouse) -> None:
    """The definitions and the SQL agree; this is the check that a worker starts with."""
    with closing(Session(new_database(stack))) as session:
        check_schema(session, specs())


def parking() -> StreamSpec:
    """A fourth stream, without its SQL."""
    return replace(
        CAMERA, name="parking", topic="parking.events", table="parking_windows", view="parking_minute"
    )


def test_a_stream_without_sql_names_the_file_to_write(stack: HasClickHouse) -> None:
    """The next free number, and what belongs into the file."""
    server = new_database(stack)
    file = f"sinks/sql/{int(FILES[-1][:4]) + 1:04}_parking.sql"
    expected = f"stream parking: parking_windows does not exist: write {re.escape(file)}"
    with closing(Session(server)) as session, pytest.raises(TableMismatch, match=expected):
        check_schema(session, [*specs(), parking()])
    with pytest.raises(TableMismatch, match=expected):
        migrate(server, [*specs(), parking()])


def test_sql_that_was_not_applied_says_so(stack: HasClickHouse, directory: Path) -> None:
    """The file is there, the table is not: the remedy is another."""
    write_parking(directory)
    with (
        closing(Session(new_database(stack))) as session,
        pytest.raises(TableMismatch, match="run `songlo migrate`") as e,
    ):
        check_schema(session, [parking()], directory)
    assert "write" not in str(e.value)


def write_parking(directory: Path) -> None:
    """The SQL of the fourth stream."""
    camera = next(directory.glob("*_camera.sql")).read_text("utf-8")
    text = camera.replace("camera_windows", "parking_windows").replace("camera_minute", "parking_minute")
    (directory / "0800_parking.sql").write_text(text, encoding="utf-8")


def test_a_fourth_stream_costs_one_file_of_sql(empty: ClickHouseAccess, directory: Path) -> None:
    """With it, the stream is written, read, and part of the views over all streams."""
    write_parking(directory)
    migrate(empty, [*specs(), parking()], directory)
    strange = list(camera_row(events=3))
    strange[2] = "99999"
    with closing(ClickHouseSink(empty)) as sink:
        flush = changes(parking(), rows=[tuple(strange)], next_offset=3, folded=3, homes=1)
        sink.put_rows(parking(), [flush])
        sink.put_progress(parking(), [flush])
    assert ask(empty, "SELECT events FROM parking_minute") == [(3,)]
    assert ask(empty, "SELECT stream, ward_code, events FROM unknown_wards") == [("parking", "99999", 3)]
    assert ask(empty, "SELECT stream, topic, events_read, verdict FROM conservation") == [
        ("parking", "parking.events", 3, "exact")
    ]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "ALTER TABLE camera_windows DROP COLUMN objects",
            "camera_windows has no column objects: write .* that changes",
        ),
        (
            "ALTER TABLE camera_windows MODIFY COLUMN events UInt32",
            "camera_windows.events is UInt32, not UInt64",
        ),
        (
            "ALTER TABLE qr_windows MODIFY COLUMN amount_min_vnd REMOVE DEFAULT",
            "qr_windows.amount_min_vnd has not the DEFAULT 9223372036854775807",
        ),
        ("DROP TABLE camera_minute", "camera_minute does not exist: run `songlo migrate`"),
        (
            "CREATE OR REPLACE VIEW camera_minute AS SELECT camera_id, late_id FROM camera_windows FINAL",
            "camera_minute has no column window_start.*shows the internal column late_id",
        ),
    ],
)
def test_a_table_that_does_not_fit_its_stream_is_refused(
    empty: ClickHouseAccess, statement: str, message: str
) -> None:
    """Missing and mistyped columns, and a view that shows too much or too little."""
    migrate(empty, specs())
    ask(empty, statement)
    with closing(Session(empty)) as session, pytest.raises(TableMismatch, match=message):
        check_schema(session, specs())


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        (", direction, partition, late_id)", ", partition, late_id)", "is ordered by"),
        ("ReplacingMergeTree(version)", "ReplacingMergeTree", r"is not a ReplacingMergeTree\(version\)"),
        ("toYYYYMM(window_start)", "toDate(window_start)", "is partitioned by"),
    ],
)
def test_a_table_that_would_lose_rows_is_refused(
    empty: ClickHouseAccess, directory: Path, wrong: str, right: str, message: str
) -> None:
    """A dimension missing from the sorting key would make one row of two, without a word."""
    camera = next(directory.glob("*_camera.sql"))
    camera.write_text(camera.read_text("utf-8").replace(wrong, right), encoding="utf-8")
    with pytest.raises(TableMismatch, match=message):
        migrate(empty, specs(), directory)


def test_statements_can_be_repeated() -> None:
    """Every statement of every migration does no harm when it runs twice, or twice at once."""
    repeatable = re.compile(
        r"CREATE (TABLE|VIEW) IF NOT EXISTS|CREATE OR REPLACE VIEW|ALTER TABLE .* IF (NOT )?EXISTS"
    )
    for migration in read_migrations():
        for statement in migration.statements:
            code = re.sub(r"^\s*--.*$", "", statement, flags=re.MULTILINE).strip()
            assert repeatable.match(code), f"{migration.name}: {code[:80]}"


def test_no_statement_names_a_database() -> None:
    """The database is a setting."""
    assert not [p.name for p in SQL.glob("*.sql") if re.search(r"\bsonglo\.", p.read_text("utf-8"))]


def test_rejections_are_one_family() -> None:
    """A worker stops on them with one except clause."""
    assert issubclass(MigrationError, SinkRejected)
    assert issubclass(TableMismatch, SinkRejected)
