"""Migration files: their names, numbers, checksums and statements."""

from pathlib import Path

import pytest

from sinks.migrate import Migration, MigrationError, read_migrations


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Gaps are fine: branches that were never merged leave some."""
    for name in ("0010_c.sql", "0002_b.sql", "0001_a.sql"):
        (tmp_path / name).write_text("SELECT 1;", encoding="utf-8")
    assert [m.number for m in read_migrations(tmp_path)] == [1, 2, 10]


@pytest.mark.parametrize("name", ["1_a.sql", "0001-a.sql", "0001_A.sql", "0001_.sql", "a.sql"])
def test_a_wrong_name_is_an_error(tmp_path: Path, name: str) -> None:
    """A file that would be left out silently would be worse."""
    (tmp_path / name).write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(MigrationError, match=f"{name}: name it NNNN_words.sql"):
        read_migrations(tmp_path)


def test_two_files_of_one_number_are_an_error(tmp_path: Path) -> None:
    """Two branches took the same number; the error names both files."""
    for name in ("0003_parking.sql", "0003_weather.sql"):
        (tmp_path / name).write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(MigrationError, match=r"0003_weather\.sql and 0003_parking\.sql have one number"):
        read_migrations(tmp_path)


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' AS x;  \n\nSELECT 2", ["SELECT ';' AS x", "SELECT 2"]),
        ("-- only a comment;\n", []),
        ("-- why\nSELECT 1;\n-- the end\n", ["-- why\nSELECT 1"]),
        ("", []),
    ],
)
def test_statements_end_with_a_semicolon_at_the_end_of_a_line(text: str, statements: list[str]) -> None:
    """A semicolon within a line belongs to the statement; a part of comments alone is none."""
    assert Migration(1, "0001_a.sql", text).statements == statements


def test_a_checksum_changes_with_any_character() -> None:
    """Also with a space or a comment: what was applied is what is there."""
    texts = ["SELECT 1;", "SELECT 1; ", "SELECT 1;\n-- x", "SELECT 2;"]
    assert len({Migration(1, "0001_a.sql", text).checksum for text in texts}) == len(texts)
