"""Dead letters on a terminal: 80 columns, and no byte that could steer it."""

import json
from dataclasses import replace

import pytest

from infra.operate.letters.patch import read_corrections
from infra.operate.letters.prepare import Sendable, Unsendable
from infra.operate.letters.replay import ReplayReport
from infra.operate.letters.text import (
    as_json,
    correction_lines,
    group_lines,
    letter_lines,
    report_json,
    report_lines,
    safe,
    whole,
)
from sinks.letters import REPLAYED, Group, Letter, Place

PLACE = Place("service.transactions", 11, 123_456_789, 3)
EVIL = b'\x1b]0;title\x07\x9b31m{"a":"\r\n\xff\xe2\x80\xae"}'
LETTER = Letter(
    PLACE, "service", 1_746_064_800_000, "fee_vnd", "must be at least 0" + " and so on" * 20, EVIL
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("Tuyên Quang".encode(), "Tuyên Quang"),
        (b"\x1b[31m", "\\x1b[31m"),
        (b"a\nb\r\x00", "a\\nb\\r\\x00"),
        (b"\xff", "\\xff"),
        ("\u202e".encode(), "\\u202e"),
        (b"", ""),
    ],
)
def test_bytes_are_shown_without_harm(raw: bytes, text: str) -> None:
    """What a terminal would obey is escaped, text stays text."""
    assert safe(raw) == text


def test_long_bytes_are_cut() -> None:
    """It says how many are left."""
    assert safe(b"x" * 1_000_010, 10) == "xxxxxxxxxx … and 1,000,000 bytes more"


def test_lists_fit_80_columns() -> None:
    """Places are whole: they are to be copied."""
    group = Group("service", "fee_vnd", LETTER.reason, 10**9, 0, 1_746_064_800_000, PLACE)
    letters, groups = list(letter_lines([LETTER])), list(group_lines([group]))
    assert max(map(len, [*letters, *groups])) <= 80
    assert str(PLACE) in letters[1]
    assert str(PLACE) in groups[2]


def test_a_letter_is_told_whole_and_harmless() -> None:
    """Also what was sent for it, and why."""
    told = "\n".join(whole(replace(LETTER, state=REPLAYED, acted_ms=1, note='{"set":{}}', sent=b"{}\x1b")))
    assert "2025-05-01 09:00:00" in told
    assert 'replayed 1970-01-01 07:00:00: {"set":{}}' in told
    assert all(c.isprintable() or c == "\n" for c in told)
    assert "\x1b" not in json.dumps(as_json(LETTER))


def test_a_file_to_correct_is_read_back() -> None:
    """Events as they are, and the text of what is none."""
    sendable = Sendable(replace(LETTER, place=replace(PLACE, index=0)), b'{"a":1}', 3, "", (), ())
    unsendable = Unsendable(LETTER, EVIL, "", "broken JSON")
    lines = list(correction_lines([sendable, unsendable]))
    found = read_corrections(enumerate(lines, 1))
    assert [correction.value for correction in found.values()] == [b'{"a":1}', None]
    second = json.loads(lines[1])
    assert second["refused"] == "broken JSON"
    assert second["raw"].endswith('"}')


def test_a_report_says_what_was_done_or_would_be() -> None:
    """The refused go to stderr; ten of each are shown."""
    report = ReplayReport()
    for n in range(12):
        report.note(Sendable(replace(LETTER, place=replace(PLACE, index=n)), EVIL * 9, 3, "", (), ()))
    report.note(Unsendable(LETTER, b"", "kind", "wrong"))
    out, err = report_lines(report, applied=False)
    assert out[-2:] == ["and 2 more", "12 would be sent, 1 refused; nothing was sent: --apply sends"]
    assert max(map(len, out)) <= 80
    assert err == [f"{PLACE}: kind: wrong"]
    assert report_lines(report, applied=True)[0] == ["12 sent, 1 refused"]
    told = report_json(report, applied=True)
    assert (told["applied"], told["sent"], told["refused"], len(told["letters"])) == (True, 12, 1, 10)
