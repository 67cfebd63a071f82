"""Whether the database has what the stream definitions write, before anything is written."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from sinks.clickhouse import MissingSchema, Session
from streams.spec import StreamSpec

SQL = Path(__file__).parent / "sql"
SUFFIX = "_windows"
START = "DateTime('Asia/Ho_Chi_Minh')"

_COLUMNS = """
    SELECT table, name, type, default_expression FROM system.columns
    WHERE database = currentDatabase() AND table IN %(tables)s ORDER BY table, position
"""
_ENGINES = """
    SELECT name, engine_full, sorting_key, partition_key FROM system.tables
    WHERE database = currentDatabase() AND name IN %(tables)s
"""

# table -> column -> (type, default)
Columns = dict[str, dict[str, tuple[str, str]]]
# table -> (engine with its arguments, sorting key, partition key)
Engines = dict[str, tuple[str, str, str]]


class TableMismatch(MissingSchema):
    """The database lacks what a stream definition writes; names each stream, and the file to write."""


def check_schema(session: Session, specs: Collection[StreamSpec], directory: Path = SQL) -> None:
    """Raises TableMismatch unless every stream has its table and view, with the columns of its definition."""
    names = [name for spec in specs for name in (spec.table, spec.view)]
    columns: Columns = {}
    for table, name, *found in session.query("system.columns", _COLUMNS, {"tables": names}):
        columns.setdefault(table, {})[name] = (found[0], found[1])
    rows = session.query("system.tables", _ENGINES, {"tables": names})
    engines = {name: (engine, sorting, partition) for name, engine, sorting, partition in rows}
    wrong = [
        f"stream {spec.name}: {problem}"
        for spec in specs
        for problem in problems(spec, columns, engines, directory)
    ]
    if wrong:
        raise TableMismatch(f"{session.server}, database {session.server.database}: " + "; ".join(wrong))


def problems(spec: StreamSpec, columns: Columns, engines: Engines, directory: Path = SQL) -> Iterator[str]:
    """What is wrong with the table and view of one stream, with what to do."""
    if not spec.table.endswith(SUFFIX):
        yield f"the table {spec.table} must be named …{SUFFIX}, by which the common views find it"
    for name in (spec.table, spec.view):
        if name not in columns:
            yield f"{name} does not exist: {_remedy(spec, name, directory)}"
    if spec.table in columns:
        yield from _table_problems(spec, columns[spec.table], engines[spec.table], directory)
    if spec.view in columns:
        yield from _view_problems(spec, list(columns[spec.view]), directory)


def key_columns(spec: StreamSpec) -> tuple[str, ...]:
    """What makes two rows of a window table the same row."""
    return ("window_start", "window_seconds", *spec.dimensions, "partition", "late_id")


def _table_problems(
    spec: StreamSpec, has: dict[str, tuple[str, str]], engine: tuple[str, str, str], directory: Path
) -> Iterator[str]:
    change = f"write {_next_file(spec, directory)} that changes it"
    for name, wanted in _types(spec):
        if name not in has:
            yield f"{spec.table} has no column {name}: {change}"
        elif has[name][0] not in wanted:
            yield f"{spec.table}.{name} is {has[name][0]}, not {' or '.join(wanted)}: {change}"
    for name, default in _defaults(spec):
        if name in has and has[name][1] != default:
            yield f"{spec.table}.{name} has not the DEFAULT {default}, which is no value: {change}"
    full, sorting, partition = engine
    if not re.search(r"ReplacingMergeTree\(.*\bversion\)", full):
        yield f"{spec.table} is not a ReplacingMergeTree(version): {change}"
    if {c.strip() for c in sorting.split(",")} != set(key_columns(spec)):
        yield f"{spec.table} is ordered by ({sorting}), not by ({', '.join(key_columns(spec))}): {change}"
    if partition != "toYYYYMM(window_start)":
        yield f"{spec.table} is partitioned by ({partition}), not by toYYYYMM(window_start): {change}"


def _view_problems(spec: StreamSpec, has: list[str], directory: Path) -> Iterator[str]:
    change = f"write {_next_file(spec, directory)} with CREATE OR REPLACE VIEW {spec.view}"
    for name in ("window_start", "window_seconds", *spec.dimensions, "late_events"):
        if name not in has:
            yield f"the view {spec.view} has no column {name}: {change}"
    for name in {"partition", "late_id", "version"} & set(has):
        yield f"the view {spec.view} shows the internal column {name}: {change}"


def _types(spec: StreamSpec) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each column of a window table with the types it may have."""
    text, number = ("String", "LowCardinality(String)"), ("UInt64",)
    yield "window_start", (START,)
    yield "window_seconds", ("UInt32",)
    yield "partition", ("UInt16",)
    for name in spec.dimensions:
        yield name, text
    for name in ("late_id", "version", "events"):
        yield name, number
    for part in spec.parts:
        yield from ((name, part.form.types) for name in part.columns)


def _defaults(spec: StreamSpec) -> Iterator[tuple[str, str]]:
    """Columns that hold another number than 0 of no value, as rows have to that were written without them."""
    for part in spec.parts:
        if nothing := part.form.nothing():
            yield from ((name, str(nothing)) for name in part.columns)


def _remedy(spec: StreamSpec, name: str, directory: Path) -> str:
    word = re.compile(rf"\b{re.escape(name)}\b")
    if any(word.search(path.read_text(encoding="utf-8")) for path in directory.glob("*.sql")):
        return "run `songlo migrate`"
    parts = f"the table {spec.table} and the view {spec.view}"
    return f"write {_next_file(spec, directory)} with {parts}, then run `songlo migrate`"


def _next_file(spec: StreamSpec, directory: Path) -> str:
    last = max((int(path.name[:4]) for path in directory.glob("[0-9]*.sql")), default=0)
    return f"sinks/sql/{last + 1:04}_{spec.name}.sql"
