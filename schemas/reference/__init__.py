"""The city's reference tables: wards, cameras, procedures, merchants and offices.

Each table is a CSV file beside this module, whose header names the fields of its row, in order. Their
sources are in SOURCES.md; `make` builds those that are invented.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TypeVar

from schemas.errors import SchemaError

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Ward:
    """An administrative unit of the city: a ward (Phường) or a commune (Xã), with its official code."""

    ward_code: str
    name: str
    full_name: str
    kind: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera eye: the place that it watches, what kind of place, and the direction that it looks in."""

    camera_id: str
    ward_code: str
    name: str
    place: str
    direction: str


@dataclass(frozen=True, slots=True)
class Procedure:
    """An administrative procedure; its working days and fee in dong are typical, not official."""

    procedure_code: str
    name: str
    field: str
    days: int
    fee_vnd: int


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who takes QR payments."""

    merchant_id: str
    ward_code: str
    merchant_category: str
    name: str


@dataclass(frozen=True, slots=True)
class Office:
    """A one-stop office, of the city or of a ward."""

    office_code: str
    ward_code: str
    name: str
    level: str


Row = Ward | Camera | Procedure | Merchant | Office
R = TypeVar("R", bound=Row)


def wards() -> tuple[Ward, ...]:
    """The fifteen units of the city, by code."""
    return _load(Ward, "wards")


def cameras() -> tuple[Camera, ...]:
    """The camera eyes, by id."""
    return _load(Camera, "cameras")


def procedures() -> tuple[Procedure, ...]:
    """Procedures that citizens often ask for, by code."""
    return _load(Procedure, "procedures")


def merchants() -> tuple[Merchant, ...]:
    """Merchants of every ward, by id."""
    return _load(Merchant, "merchants")


def offices() -> tuple[Office, ...]:
    """The one-stop offices, by code."""
    return _load(Office, "offices")


def tables() -> Mapping[str, Sequence[Row]]:
    """All tables by name."""
    return {
        "wards": wards(),
        "cameras": cameras(),
        "procedures": procedures(),
        "merchants": merchants(),
        "offices": offices(),
    }


@cache
def _load(row: type[R], name: str) -> tuple[R, ...]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return read_rows(row, file, f"schemas/reference/{name}.csv")


def read_rows(row: type[R], lines: Iterable[str], where: str) -> tuple[R, ...]:
    """Rows from the lines of a CSV file; raises SchemaError naming file, line and field."""
    reader = csv.reader(lines, strict=True)
    expected = [f.name for f in fields(row)]
    header = next(reader, None)
    if header != expected:
        raise SchemaError(f"{where}: the header must be {','.join(expected)}")
    rows = []
    for values in reader:
        at = f"{where}, line {reader.line_num}"
        if len(values) != len(expected):
            raise SchemaError(f"{at}: {len(values)} values where {len(expected)} belong")
        rows.append(_row(row, values, at))
    return tuple(rows)


def _row(row: type[R], values: list[str], at: str) -> R:
    typed: list[str | int] = []
    for field, text in zip(fields(row), values, strict=True):
        if not text.strip() or not text.isprintable():
            raise SchemaError(f"{at}: {field.name} must be text, got {text!r}")
        if field.type is int and not text.isdecimal():
            raise SchemaError(f"{at}: {field.name} must be an integer, got {text!r}")
        typed.append(int(text) if field.type is int else text)
    return row(*typed)  # type: ignore[arg-type]  # each has its field's type
