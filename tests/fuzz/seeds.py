"""What the fuzzer begins with: examples of each stream in all forms, and what was once judged differently."""

from collections.abc import Callable, Iterator
from typing import Any

import cramjam
import orjson

from schemas.errors import SchemaError
from schemas.event import Event
from schemas.fields import FieldRule, Kind, field_rules
from schemas.jsonschema import examples
from streams.core.records import HEADER, MAGIC, varint
from streams.spec import StreamSpec
from tests.fuzz.cases import NO_ROOM, STAY, bytes_of, streams
from tests.fuzz.frames import put_right, record
from tests.fuzz.steps import GAP, KEY, NOW_MS, NULL, UNREAD, Form, Piece
from tests.fuzz.words import AFTER, MOMENTS, VARINTS

DELTAS = (
    (0, 7),
    (-1, 0),
    (0, 0),
    (1, 0),
    (0, 2),
    (0, (1 << 31) - 1),
    (0, 1),
    (2, 3),
    (1, 2),
    (-(1 << 31), 0),
)

COMPRESS: tuple[Callable[..., Any], ...] = (
    cramjam.gzip.compress,
    cramjam.snappy.compress,
    cramjam.lz4.compress,
    cramjam.zstd.compress,
)

LONG_DISORDER, SHORT_PANES = 0x03, 0x10
NOTHING = Piece(b"", 0, 0, 0)


def seeds() -> Iterator[bytes]:
    """Inputs to begin with."""
    for stream, spec in enumerate(streams()):
        yield from _seeds(stream, spec)


def _seeds(stream: int, spec: StreamSpec) -> Iterator[bytes]:
    good, bad = events_of(spec.event)
    for times in (0, 1, 17, 64):
        pieces = [_piece(value, i) for i, value in enumerate([*good, *bad])]
        for at in range(0, len(pieces), 4):
            yield bytes_of(stream, Form.MESSAGES, pieces[at : at + 4], times=times)
            yield bytes_of(stream, Form.MESSAGES, pieces[at : at + 4], times=times, start=2 << 6)
    bundle = b"[" + b",".join(good) + b"]"
    for value in (
        bundle,
        b"[" + b",".join([good[0], *bad[:3], good[-1]]) + b"]",
        b"[]",
        b" [ " + good[0] + b" ] ",
    ):
        for start in (0, 2 << 6, 2 << 6 | STAY):
            yield bytes_of(stream, Form.MESSAGES, [_piece(value, 0), _piece(good[0], 1)], start=start)
    for moment in MOMENTS:
        yield bytes_of(stream, Form.MESSAGES, [_piece(with_field(good[0], "occurred_at", f'"{moment}"'), 0)])
    several = [*good, *good][:2]
    for deltas in DELTAS:
        records = b"".join(record(delta, b"k", value) for delta, value in zip(deltas, several, strict=True))
        for number, last in ((2, 1), (2, 3), (2, 0), (3, 3), (1, 1), (2, 0x7E)):
            yield bytes_of(stream, Form.RECORDS, [_piece(bytes([number, last]) + records, 2)])
    for excess in VARINTS:
        yield bytes_of(
            stream, Form.RECORDS, [_piece(b"\1\0" + excess + b"\0\0\0\1" + excess + good[0] + b"\0", 2)]
        )
        body = b"\0\0" + excess + b"\1" + varint(len(good[0])) + good[0] + b"\0"
        yield bytes_of(stream, Form.RECORDS, [_piece(b"\1\0" + varint(len(body)) + body, 2)])
    records = b"".join(record(i, b"k", value) for i, value in enumerate(several))
    whole = _whole(2, 1, 0, records)
    yield bytes_of(stream, Form.VERBATIM, [_piece(whole[:1], 0)])
    for form in (Form.BATCHES, Form.VERBATIM, Form.FETCHED):
        yield bytes_of(stream, form, [_piece(whole, 3)])
        yield bytes_of(stream, form, [_piece(whole, 0), _piece(put_right(whole, 2), 3)])
    yield from _many(stream, spec.event, good[-1])
    yield from _renewed(stream, spec, good[-1])
    yield bytes_of(stream, Form.MESSAGES, [_piece(with_field(good[0], "event_id", f'"{"ỷ" * 64}"'), 0)])
    yield from (bytes_of(stream, Form.FETCHED, [_piece(packed, 3)]) for packed in _packed(records))


def _many(stream: int, event: type[Event], value: bytes) -> Iterator[bytes]:
    """Many ids, rows, texts of a dimension, numbers of a distribution, panes; in bundles too."""
    value = with_field(value, "event_id", '"e~"')
    some = {
        Kind.TEXT: ('"t`"', f'"{"t" * 20}~"', f'"{"t" * 40}`"'),
        Kind.INTEGER: ("~", "`"),
        Kind.NUMBER: ("`", "0.`", "1.~"),
        Kind.INSTANT: (f'{NOW_MS // 10**6}`{NOW_MS % 1000:03}',),
    }  # fmt: skip
    fields = (r for r in field_rules(event) if r.name != "event_id")
    each = ((rule, written) for rule in fields for written in some.get(rule.kind, ()))
    # an hour later, so that what has grown is closed
    last = Piece(with_field(value, "occurred_at", str(NOW_MS + 3_500_000)), AFTER[2], 0, 6)
    for i, (rule, written) in enumerate(each):
        choice = 15 if rule.kind is Kind.INSTANT else 7 + 2 * (i % 5)
        piece = Piece(with_field(value, rule.name, written), AFTER[2], NULL if i % 3 == 2 else 0, choice << 4)
        times = LONG_DISORDER | SHORT_PANES if rule.kind is Kind.INSTANT else NO_ROOM * (i & 1)
        yield bytes_of(stream, Form.MANY, [NOTHING, piece, piece, last], times=times)


def _renewed(stream: int, spec: StreamSpec, value: bytes) -> Iterator[bytes]:
    """More texts than have numbers in a dimension, then few others in many rows, in later windows."""
    first, second = [
        r.name for r in field_rules(spec.event) if r.kind is Kind.TEXT and r.name in spec.dimensions
    ][:2]
    value = with_field(value, "event_id", '"e~"')
    pieces = [NOTHING, Piece(with_field(value, first, '"t~"'), AFTER[1], 0, 15 << 4)]
    for window in (1, 2, 3, 4, 5, 70):
        few = with_field(with_field(value, first, '"few"'), second, '"u~"')
        few = with_field(few, "occurred_at", str(NOW_MS + window * 60_000))
        pieces.append(
            Piece(few, AFTER[0] if window < 70 else AFTER[2], 0, (15 << 4) + (4 if window < 70 else 6))
        )
    yield bytes_of(stream, Form.MANY, pieces)


def _packed(records: bytes) -> Iterator[bytes]:
    """Records compressed by each codec, and much more than fits; one message of the old formats."""
    for codec, compress in enumerate(COMPRESS, 1):
        yield _whole(2, 1, codec, bytes(compress(records)))
        yield _whole(2, 1, codec, bytes(compress(records + b"\0" * 9000)))
    for magic in (0, 1):
        text = (4).to_bytes(4) + records[-4:]
        yield put_right(b"\0" * 16 + bytes([magic, 8]) + NOW_MS.to_bytes(8) * magic + text * 2, 0)


def _whole(number: int, last: int, attributes: int, records: bytes) -> bytes:
    header = HEADER.pack(0, 0, 0, MAGIC, 0, attributes, last, NOW_MS, NOW_MS, -1, -1, -1, number)
    return put_right(header + records, 0)


def _piece(body: bytes, i: int) -> Piece:
    return Piece(body, AFTER[i % len(AFTER)], (0, KEY, GAP, 0, UNREAD)[i % 5], i % 8)


def events_of(event: type[Event]) -> tuple[list[bytes], list[bytes]]:
    """Events that are taken, and events that are refused, as messages; ids differ."""
    try:
        found = examples(event)
    except SchemaError:  # of a stream of tests
        rules = field_rules(event)
        some = [{r.name: _value(r) for r in rules if r.required or not every} for every in (True, False)]
        return [orjson.dumps(e) for e in some], []
    good = [orjson.dumps({**e, "event_id": f"e{i}"}) for i, e in enumerate(found.valid)]
    return good, [orjson.dumps(e) for _, e in found.invalid]


def _value(rule: FieldRule) -> object:
    match rule.kind:
        case Kind.INSTANT:
            return NOW_MS
        case Kind.LITERAL:
            return rule.choices[0]
        case Kind.TEXT:
            return "t" * max(1, int(rule.low))
        case Kind.FLAG:
            return True
        case Kind.INTEGER | Kind.NUMBER:
            return max(rule.low, 1) if rule.high > 1 else rule.high
    return None


def with_field(value: bytes, name: str, written: str) -> bytes:
    """The event with this as a field's value, whatever is written there."""
    event = orjson.loads(value)
    fields = [f'"{k}":{orjson.dumps(v).decode()}' for k, v in event.items() if k != name]
    return ("{" + ",".join([*fields, f'"{name}":{written}']) + "}").encode()
