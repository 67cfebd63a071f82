"""Dead letters as text: lines of at most 80 columns, and bytes that can do a terminal no harm."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from infra.operate.letters.prepare import Sendable, Unsendable
from infra.operate.letters.replay import ReplayReport
from infra.operate.times import clock_text, short_text
from sinks.letters import OPEN, Group, Letter

WIDTH = 80
# of the bytes of one letter
SHOWN_BYTES = 4096


def printable(text: str) -> str:
    """The text with everything escaped that is not printable, line ends too."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def safe(raw: bytes, limit: int | None = None) -> str:
    """Bytes as one printable line: UTF-8 where they are, escapes where they are not, cut at `limit` bytes."""
    cut = raw if limit is None else raw[:limit]
    more = f" … and {len(raw) - len(cut):,} bytes more" if len(cut) < len(raw) else ""
    return printable(cut.decode(errors="backslashreplace")) + more


def letter_lines(letters: Sequence[Letter]) -> Iterator[str]:
    """One line for each letter."""
    width = max((len(str(letter.place)) for letter in letters), default=0)
    yield f"{'letter':<{width}}  {'appended':<11}  field: reason"
    for letter in letters:
        state = "" if letter.state == OPEN else f"[{letter.state}] "
        line = f"{letter.place!s:<{width}}  {short_text(letter.append_ms)}  {state}{_why(letter)}"
        yield _cut(line, WIDTH)


def group_lines(groups: Sequence[Group]) -> Iterator[str]:
    """Two lines for each group: what is wrong, and from when to when, with the last letter."""
    yield f"{'letters':>9}  {'stream':<8}  field: reason"
    for group in groups:
        yield _cut(f"{group.letters:>9,}  {group.stream:<8}  {_why(group)}", WIDTH)
        span = f"{short_text(group.first_ms)} to {short_text(group.last_ms)}"
        yield f"{'':>9}  {span}, last {group.example}"


def whole(letter: Letter) -> Iterator[str]:
    """All that is known of a letter."""
    yield f"{letter.place}" + (f"  (epoch {letter.place.epoch})" if letter.place.epoch else "")
    yield f"  stream    {letter.stream}"
    yield f"  appended  {clock_text(letter.append_ms)}"
    yield f"  field     {printable(letter.field) or '-'}"
    yield f"  reason    {printable(letter.reason)}"
    yield f"  state     {_state(letter)}"
    yield f"  {len(letter.raw):,} bytes:"
    yield safe(letter.raw, SHOWN_BYTES)
    if letter.sent:
        yield f"  sent to partition {letter.sent_partition}, {len(letter.sent):,} bytes:"
        yield safe(letter.sent, SHOWN_BYTES)


def as_json(letter: Letter) -> dict[str, Any]:
    """For scripts; bytes as text, with escapes where they are no UTF-8."""
    place = letter.place
    return {
        "place": str(place),
        "stream": letter.stream,
        "topic": place.topic,
        "partition": place.partition,
        "offset": place.offset,
        "index": place.index,
        "epoch": place.epoch,
        "append_ms": letter.append_ms,
        "field": letter.field,
        "reason": letter.reason,
        "state": letter.state,
        "acted_ms": letter.acted_ms or None,
        "note": letter.note,
        "raw": letter.raw.decode(errors="backslashreplace"),
        "sent": letter.sent.decode(errors="backslashreplace"),
    }


def group_json(group: Group) -> dict[str, Any]:
    """For scripts."""
    return {
        "stream": group.stream,
        "field": group.field,
        "reason": group.reason,
        "letters": group.letters,
        "first_ms": group.first_ms,
        "last_ms": group.last_ms,
        "example": str(group.example),
    }


def correction_lines(found: Iterable[Sendable | Unsendable]) -> Iterator[bytes]:
    """A file to be corrected: of each letter its place, its event as far as it has one, and what is wrong.

    The texts `refused` and `raw` are for the reader, and ignored when the file is read.
    """
    for outcome in found:
        try:
            event = orjson.loads(outcome.value)
        except orjson.JSONDecodeError:
            event = None
        place = outcome.letter.place
        line: dict[str, Any] = {
            "topic": place.topic,
            "partition": place.partition,
            "offset": place.offset,
            "index": place.index,
            "epoch": place.epoch,
            "event": event if isinstance(event, dict | list) else None,
        }
        if isinstance(outcome, Unsendable):
            line["refused"] = outcome.why
        if line["event"] is None:
            line["raw"] = outcome.value.decode(errors="backslashreplace")
        yield orjson.dumps(line) + b"\n"


def report_lines(report: ReplayReport, *, applied: bool) -> tuple[list[str], list[str]]:
    """What a replay did or would do: for stdout, and what is wrong for stderr."""
    out = [] if applied else [
        _cut(f"{s.letter.place} {safe(s.value, SHOWN_BYTES)}", WIDTH) for s in report.first_sent
    ]  # fmt: skip
    if not applied and report.sent > len(out):
        out.append(f"and {report.sent - len(out):,} more")
    err = [f"{u}" for u in report.first_refused]
    if report.refused > len(err):
        err.append(f"and {report.refused - len(err):,} more are refused")
    if report.broken_off:
        were = "were" if applied else "would be"
        err.append(
            f"{report.broken_off:,} of them may have been sent when a replay broke off; {were} sent again, "
            "they count once"
        )
    what = "sent" if applied else "would be sent"
    end = "" if applied or not report.sent else "; nothing was sent: --apply sends"
    out.append(f"{report.sent:,} {what}, {report.refused:,} refused{end}")
    return out, err


def report_json(report: ReplayReport, *, applied: bool) -> dict[str, Any]:
    """For scripts."""
    return {
        "applied": applied,
        "sent": report.sent,
        "refused": report.refused,
        "broken_off": report.broken_off,
        "letters": [
            {
                "place": str(s.letter.place),
                "partition": s.partition,
                "value": s.value.decode(errors="backslashreplace"),
            }
            for s in report.first_sent
        ],
        "problems": [
            {"place": str(u.letter.place), "field": u.field, "reason": u.reason} for u in report.first_refused
        ],
    }


def _state(letter: Letter) -> str:
    if letter.state == OPEN:
        return OPEN
    note = f": {printable(letter.note)}" if letter.note else ""
    return f"{letter.state} {clock_text(letter.acted_ms)}{note}"


def _why(about: Letter | Group) -> str:
    field, reason = printable(about.field), printable(about.reason)
    return f"{field}: {reason}" if field else reason


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
