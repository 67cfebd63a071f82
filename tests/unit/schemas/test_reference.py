"""The reference tables: complete, consistent, and what their makers build."""

from collections import Counter
from dataclasses import astuple, fields
from typing import get_args

import pytest

from schemas import reference
from schemas.codec import Codec
from schemas.errors import SchemaError
from schemas.event import MIN_MS
from schemas.qr import Category, QrReport
from schemas.reference import FOLDER, Office, Procedure, make, read_rows
from schemas.reference.places import PLACES

TABLES = reference.tables()
each_table = pytest.mark.parametrize("name", TABLES)


def test_the_city_has_ten_wards_and_five_communes() -> None:
    """Official codes, five digits, as texts since they begin with a zero."""
    wards = reference.wards()
    assert Counter(w.kind for w in wards) == {"Phường": 10, "Xã": 5}
    assert all(len(w.ward_code) == 5 and w.ward_code.isdecimal() for w in wards)
    assert all(w.full_name == f"{w.kind} {w.name}" for w in wards)
    assert {w.ward_code: w.name for w in wards}["02215"] == "Ỷ La"


def test_436_camera_eyes_watch_12_wards() -> None:
    """The city's own figures; no two eyes look from the same place in the same direction."""
    cameras = reference.cameras()
    assert len(cameras) == 436
    assert len({c.ward_code for c in cameras}) == 12
    assert len({(c.ward_code, c.name) for c in cameras}) == 436
    assert {c.place for c in cameras} >= {"junction", "market", "school"}


def test_every_ward_has_merchants_of_each_public_kind_and_an_office() -> None:
    """Schools, health, markets and government are everywhere."""
    wards = {w.ward_code for w in reference.wards()}
    for category in ("school", "hospital", "market", "government", "convenience_store"):
        assert {m.ward_code for m in reference.merchants() if m.merchant_category == category} == wards
    assert {m.merchant_category for m in reference.merchants()} == set(get_args(Category))
    assert Counter(o.level for o in reference.offices()) == {"ward": 15, "city": 1}
    assert {o.ward_code for o in reference.offices()} == wards


@each_table
def test_a_table_is_sorted_by_unique_keys(name: str) -> None:
    """So that a change shows as a change of lines."""
    keys = [astuple(row)[0] for row in TABLES[name]]
    assert keys == sorted(set(keys))


@each_table
def test_rows_point_to_wards_that_exist(name: str) -> None:
    """No orphan."""
    known = {w.ward_code for w in reference.wards()}
    assert {row.ward_code for row in TABLES[name] if not isinstance(row, Procedure)} <= known


@each_table
def test_ids_and_codes_are_valid_in_events(name: str) -> None:
    """What the tables name, events may carry."""
    codec = Codec(QrReport)
    for row in TABLES[name]:
        report = QrReport(
            event_id="e",
            occurred_at=MIN_MS,
            ward_code=astuple(row)[0],
            merchant_id=astuple(row)[0],
            merchant_category="other",
            provider="p",
            succeeded=0,
            failed=0,
            amount_vnd=0,
        )
        assert codec.decode(codec.encode(report)) == report


def test_every_file_is_a_table() -> None:
    """No CSV file is left over."""
    assert {path.stem for path in FOLDER.glob("*.csv")} == TABLES.keys()
    assert {w.ward_code for w in reference.wards()} == PLACES.keys()


@pytest.mark.parametrize(("name", "text"), make.made().items(), ids=make.made())
def test_built_files_are_up_to_date(name: str, text: str) -> None:
    """`python -m schemas.reference.make` writes them."""
    assert (FOLDER / name).read_text(encoding="utf-8") == text


HEADER = ",".join(f.name for f in fields(Procedure))


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([], "here.csv: the header must be procedure_code,name"),
        (["code,name"], "here.csv: the header must be procedure_code,name"),
        ([HEADER, "1,a,b,3"], "here.csv, line 2: 4 values where 5 belong"),
        ([HEADER, "1,a,b,three,0"], "here.csv, line 2: days must be an integer, got 'three'"),
        ([HEADER, "1,a,b,3,0", "2, ,b,3,0"], "here.csv, line 3: name must be text"),
    ],
)
def test_a_broken_table_names_file_line_and_field(lines: list[str], error: str) -> None:
    """Whoever edits a table reads where it is wrong."""
    with pytest.raises(SchemaError, match=error):
        read_rows(Procedure, lines, "here.csv")


def test_rows_are_typed() -> None:
    """Integers as integers, the rest as texts."""
    (row,) = read_rows(Office, ["office_code,ward_code,name,level", "1,02200,Một cửa,ward"], "here.csv")
    assert row == Office("1", "02200", "Một cửa", "ward")
    (typed,) = read_rows(Procedure, [HEADER, "1,a,b,3,0"], "here.csv")
    assert (typed.days, typed.fee_vnd) == (3, 0)
