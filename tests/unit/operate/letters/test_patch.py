"""Corrections of dead letters, by a patch or by a file."""

import orjson
import pytest

from infra.operate.letters.patch import CorrectionError, Patch, parse_patch, read_corrections
from sinks.letters import Place

RAW = b'{"event_id":"e1", "kind":"xe","plate":null, "n":18446744073709551615,"x":1.50}'


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("kind=vehicle", "vehicle"),
        ('kind="vehicle"', "vehicle"),
        ("kind=5", 5),
        ("kind=null", None),
        ("kind=1.5", 1.5),
        ("kind=02203", "02203"),  # no JSON number, so a text: codes begin with 0
        ("kind=a=b", "a=b"),
        ("kind=", ""),
    ],
)
def test_a_value_is_json_or_text(setting: str, value: object) -> None:
    """What is no JSON is the text itself."""
    assert parse_patch([setting], []) == Patch({"kind": value})


def test_a_patch_sets_and_takes_away() -> None:
    """All other fields stay, whether they are known or not."""
    patch = parse_patch(["kind=vehicle", "new=1"], ["plate", "not there"])
    assert orjson.loads(patch.applied(RAW)) == {
        "event_id": "e1", "kind": "vehicle", "n": 18446744073709551615, "x": 1.5, "new": 1,
    }  # fmt: skip
    assert str(patch) == '{"set":{"kind":"vehicle","new":1},"unset":["plate","not there"]}'


def test_without_a_patch_the_bytes_stay() -> None:
    """Also those that are no JSON: they may be valid by now."""
    assert Patch().applied(b"\xff {") == b"\xff {"
    assert str(Patch()) == ""


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff", b"null"])
def test_what_has_no_fields_can_not_be_patched(raw: bytes) -> None:
    """It says how it can be corrected."""
    with pytest.raises(CorrectionError, match="--file"):
        Patch({"kind": 1}).applied(raw)


@pytest.mark.parametrize(("settings", "gone"), [(["kind"], []), (["=1"], []), (["a=1"], ["a"])])
def test_a_patch_that_makes_no_sense_is_refused(settings: list[str], gone: list[str]) -> None:
    """Before anything is read."""
    with pytest.raises(CorrectionError):
        parse_patch(settings, gone)


def test_a_file_has_an_event_for_each_place() -> None:
    """The index may be left out; a line may say nothing yet; more fields are ignored."""
    lines = [
        b'{"topic": "t", "partition": 1, "offset": 2, "event": {"a": 1}, "refused": "because"}',
        b"  ",
        b'{"topic": "t", "partition": 1, "offset": 2, "index": 1, "epoch": 3, "event": [{"a": 2}]}',
        b'{"topic": "t", "partition": 1, "offset": 3, "event": null, "raw": "{"}',
    ]
    found = read_corrections(enumerate(lines, 1))
    assert [(str(place), c.line, c.epoch, c.value) for place, c in found.items()] == [
        ("t/1/2/0", 1, None, b'{"a":1}'),
        ("t/1/2/1", 3, 3, b'[{"a":2}]'),
        ("t/1/3/0", 4, None, None),
    ]
    assert set(found) == {Place("t", 1, 2), Place("t", 1, 2, 1), Place("t", 1, 3)}


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"7",
        b'{"topic": "t", "partition": 1, "event": {}}',
        b'{"topic": 1, "partition": 1, "offset": 2, "event": {}}',
        b'{"topic": "t", "partition": "1", "offset": 2, "event": {}}',
        b'{"topic": "t", "partition": true, "offset": 2, "event": {}}',
        b'{"topic": "t", "partition": 1, "offset": 2, "event": "{}"}',
    ],
)
def test_a_wrong_line_is_named(line: bytes) -> None:
    """Nothing of the file is used then."""
    with pytest.raises(CorrectionError, match="line 5"):
        read_corrections([(5, line)])


def test_two_lines_for_one_letter_are_refused() -> None:
    """Which of them was meant?"""
    line = b'{"topic": "t", "partition": 1, "offset": 2, "event": {}}'
    with pytest.raises(CorrectionError, match="line 9: t/1/2/0 stands in line 4"):
        read_corrections([(4, line), (9, line)])
