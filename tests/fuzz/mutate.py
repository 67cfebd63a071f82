"""Mutations that know what an event is: other values, times, ids, bundles, records with their sizes."""

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain

import orjson

from schemas.event import Event
from schemas.fields import field_rules
from streams.core.records import varint
from tests.fuzz.cases import CONTROLS, CUT, streams
from tests.fuzz.steps import NOW_MS, Form
from tests.fuzz.words import AFTER, LITERALS, MOMENTS, NUMBERS, TEXTS, VARINTS, values_of

Fields = dict[str, bytes]
# in copies of a message each has another one
COUNTED = ("~", "`", '"k~"', '"k`"', f"{NOW_MS // 10**6}`123", f"{NOW_MS // 10**6}~123", "0.`")
BY_MS = (0, 1, -1, 1000, 59_999, -60_000, 120_000, -180_000, 300_000, 300_001, -3_600_000, 86_400_000)
STYLES = ((b",", b":"), (b", ", b": "), (b" ,\n", b" :\t"))


def mutated(data: bytes, rng: random.Random) -> bytes | None:
    """The input with one of its pieces changed, or one more; None where none of them is understood."""
    if len(data) <= CONTROLS:
        return None
    event, form = streams()[data[0] % len(streams())].event, Form(data[1] % len(Form))
    pieces = data[CONTROLS:].split(CUT)
    at = rng.randrange(len(pieces))
    body = pieces[at][2:] if at else pieces[at]
    if form in (Form.MESSAGES, Form.MANY):
        found = other_message(body, event, rng)
    elif form is Form.RECORDS:
        found = _other_records(body, event, rng)
    else:
        return None
    if found is None:
        return None
    if rng.random() < 0.3 and form is not Form.RECORDS:
        pieces.insert(
            at + 1, bytes([rng.choice(AFTER) | rng.randrange(16) << 4 & 0xA0, rng.randrange(256)]) + found
        )
    else:
        pieces[at] = pieces[at][: 2 if at else 0] + found
    return data[:CONTROLS] + CUT.join(pieces)


def other_message(value: bytes, event: type[Event], rng: random.Random) -> bytes | None:
    """A message with one of its events changed; None when it is no JSON of events."""
    try:
        read = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    items = read if isinstance(read, list) else [read]
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    events = [{name: orjson.dumps(value) for name, value in item.items()} for item in items]
    rng.choice(CHANGES)(rng.choice(events), event, rng)
    if rng.random() < 0.15:
        events.insert(rng.randrange(len(events) + 1), dict(rng.choice(events)))
    comma, colon = rng.choice(STYLES) if rng.random() < 0.1 else STYLES[0]
    written = [
        b"{" + comma.join(b'"%s"%s%s' % (n.encode(), colon, v) for n, v in e.items()) + b"}" for e in events
    ]
    return written[0] if len(written) == 1 and rng.random() < 0.9 else b"[" + comma.join(written) + b"]"


def _set_value(fields: Fields, event: type[Event], rng: random.Random) -> None:
    """One of all fields gets a value at its bounds, or one that most parsers have trouble with."""
    name = rng.choice(_names(event))
    fields[name] = rng.choice(_values(event, name) if rng.random() < 0.6 else _odd())


def _set_time(fields: Fields, event: type[Event], rng: random.Random) -> None:
    fields["occurred_at"] = str(NOW_MS + rng.choice(BY_MS) * rng.choice((1, 1, 1, 3))).encode()


def _set_id(fields: Fields, event: type[Event], rng: random.Random) -> None:
    fields["event_id"] = b'"e%d"' % rng.randrange(12)


def _drop(fields: Fields, event: type[Event], rng: random.Random) -> None:
    fields.pop(rng.choice([*fields, ""]), None)


def _reorder(fields: Fields, event: type[Event], rng: random.Random) -> None:
    names = rng.sample([*fields], len(fields))
    fields.update({name: fields.pop(name) for name in names})


def _add_unknown(fields: Fields, event: type[Event], rng: random.Random) -> None:
    fields[rng.choice(("x", "", "event_ie", "Kind", "k" * 40))] = rng.choice(_odd())


CHANGES: Sequence[Callable[[Fields, type[Event], random.Random], None]] = (
    _set_value, _set_value, _set_value, _set_time, _set_time, _set_id, _drop, _reorder, _add_unknown,
)  # fmt: skip


@lru_cache(maxsize=64)
def _names(event: type[Event]) -> tuple[str, ...]:
    return tuple(rule.name for rule in field_rules(event))


@lru_cache(maxsize=1 << 10)
def _values(event: type[Event], name: str) -> tuple[bytes, ...]:
    (rule,) = (rule for rule in field_rules(event) if rule.name == name)
    return *values_of(rule), b"null"


@lru_cache(maxsize=1)
def _odd() -> tuple[bytes, ...]:
    texts = (f'"{text}"' for text in (*TEXTS, *MOMENTS))
    return tuple(text.encode() for text in chain(LITERALS, NUMBERS, texts, COUNTED))


def _other_records(body: bytes, event: type[Event], rng: random.Random) -> bytes | None:
    """Records with their numbers, one of them with another value, or another number in it."""
    at, records = 2, list[list[bytes]]()
    while at < len(body) and len(records) < 100:
        record, at = _parts(body, at)
        if record is None:
            return None
        records.append(record)
    if not records:
        return None
    chosen = rng.choice(records)
    if rng.random() < 0.5:
        value = other_message(chosen[-2], event, rng)
        if value is None:
            return None
        chosen[-3:-1] = varint(len(value)), value
    else:
        chosen[rng.choice((0, 1, 2))] = rng.choice((*VARINTS, *map(varint, range(-2, 9))))
    if rng.random() < 0.3:
        records.insert(rng.randrange(len(records) + 1), list(chosen))
    numbers = bytes(min(127, len(records)) if rng.random() < 0.5 else number for number in body[:2])
    written = [b"\0" + b"".join(parts) for parts in records]
    return numbers + b"".join(varint(len(record)) + record for record in written)


def _parts(body: bytes, at: int) -> tuple[list[bytes] | None, int]:
    """Of a record: time, delta, key with its size, value's size, value, rest; or None, and the next."""
    length, at = _number(body, at)
    end = at + length
    if not 0 < length <= len(body) - at:
        return None, at
    after_time = _number(body, at + 1)[1]
    after_delta = _number(body, after_time)[1]
    key_size, key_at = _number(body, after_delta)
    value_size, value_at = _number(body, key_at + max(0, key_size))
    if value_size < 0 or value_at + value_size > end:
        return None, end
    key = body[after_delta : key_at + max(0, key_size)]
    value_end = value_at + value_size
    time, delta = body[at + 1 : after_time], body[after_time:after_delta]
    return [time, delta, key, varint(value_size), body[value_at:value_end], body[value_end:end]], end


def _number(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(body) and shift < 70:
        number |= (body[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if body[at - 1] < 128:
            break
    return number >> 1 ^ -(number & 1), at
