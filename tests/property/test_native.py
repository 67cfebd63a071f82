"""The compiled fold and its plain twin agree on any bytes, in any order, over any restarts."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import FieldRule, Kind, field_rules
from schemas.jsonschema import examples
from streams.core.limits import Limits
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import PackedBatches, Progress
from streams.native.compiled import CompiledFold
from streams.registry import load_streams
from streams.spec import StreamSpec
from tests.support.engines import native
from tests.support.events import T0_MS, packed
from tests.support.odd import PARKING

RULES = Rules(pane_ms=60_000, disorder_ms=90_000, skew_ms=30_000)
CITY = load_streams()
STREAMS = {**CITY, "parking": PARKING, "no ids": replace(PARKING, dedupe=False)}
Fields = dict[str, bytes]

# texts that both engines must judge alike: short and long, printable and not, escaped and raw
TEXTS = st.one_of(
    st.sampled_from(
        [
            "a",
            "cam-1",
            "xe máy",
            "Ỷ La",
            "e\u0301",
            "₫",
            "路",
            "\u00a0",
            "\u200b",
            "😀",
            "'\"",
            "\\",
            "\t",
            "\x7f",
        ]
    ),
    st.text(max_size=70),
    st.text(alphabet="abc-_/: 019", min_size=1, max_size=66),
).map(lambda text: orjson.dumps(text) if _encodable(text) else b'"\\ud800"')
DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=21).map(str.encode)
NUMBERS = st.one_of(
    st.integers(-2, 1200).map(lambda n: b"%d" % n),
    st.floats(allow_nan=False, allow_infinity=False).map(orjson.dumps),
    st.floats(0, 1001).map(orjson.dumps),
    st.decimals(0, 1000, places=3).map(lambda d: str(d).encode()),
    st.tuples(DIGITS, DIGITS).map(b".".join),
    DIGITS,
    st.sampled_from(
        [b"-0", b"-0.0", b"1e3", b"1E+2", b"01", b"1.", b".5", b"+1", b"9007199254740993", b"NaN", b"1e400"]
    ),
)
OTHER = st.sampled_from([b"null", b"true", b"false", b"{}", b"[]", b'{"a":[1]}', b'"', b"nul", b""])
ANYTHING = st.one_of(TEXTS, NUMBERS, OTHER)
SPACE = st.sampled_from([b"", b"", b"", b" ", b"\n\t ", b"\x0b"])


def _encodable(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def moments(around_s: int) -> st.SearchStrategy[bytes]:
    """Times near T0 plus `around_s`, as numbers and as text in several hands."""
    ms = st.integers(-400_000, 60_000).map(lambda d: T0_MS + around_s * 1000 + d)
    return st.one_of(
        ms.map(lambda t: b"%d" % t),
        ms.map(lambda t: b"%d" % t),
        st.tuples(ms, st.sampled_from(["Z", "+07:00", "-00:00", "+14:30", "z", ""]), st.integers(0, 9)).map(
            _written
        ),
        st.sampled_from(
            [b"0", b"1715587200", b"4102444800000", b'"2024-02-30T00:00:00Z"', b'"2024-02-29T24:00:00Z"']
        ),
    )


def _written(parts: tuple[int, str, int]) -> bytes:
    ms, zone, digits = parts
    seconds, rest = divmod(ms - T0_MS, 1000)
    minutes, second = divmod(seconds + 8 * 3600, 60)
    hour, minute = divmod(minutes, 60)
    fraction = "." + f"{rest:03}123456"[:digits] if digits else ""
    return f'"2024-05-13T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"'.encode()


def values(rule: FieldRule, around_s: int) -> st.SearchStrategy[bytes]:
    """What may stand in a field: mostly what it takes."""
    match rule.kind:
        case Kind.INSTANT:
            return moments(around_s)
        case Kind.LITERAL:
            return st.sampled_from(
                [*(b'"%s"' % c.encode() for c in rule.choices), b'"other"', b'""', b"null"]
            )
        case Kind.TEXT:
            return st.one_of(st.sampled_from([b'"e1"', b'"e2"', b'"e3"', b'"north"']), TEXTS)
        case Kind.OPAQUE:
            return st.sampled_from([b"null", b'"22A-1"'])
        case Kind.FLAG:
            return st.sampled_from([b"true", b"false", b"True", b"1", b"null"])
        case _:
            return NUMBERS


@st.composite
def objects(draw: st.DrawFn, spec: StreamSpec, around_s: int) -> bytes:
    """One event as a producer may write it, right in most of its fields."""
    rules = [r for r in field_rules(spec.event) if r.kind is not Kind.OPAQUE or draw(st.integers(0, 20)) == 0]
    fields: Fields = {r.name: v for r in rules if r.required and (v := _good(r)) is not None}
    fields["event_id"] = b'"e%d"' % draw(st.integers(0, 12))
    fields["occurred_at"] = b"%d" % (T0_MS + around_s * 1000 + draw(st.integers(-200_000, 20_000)))
    for rule in draw(st.lists(st.sampled_from(rules), max_size=5)):
        fields[rule.name] = draw(values(rule, around_s))
    if draw(st.integers(0, 5)) == 0:
        fields[draw(st.sampled_from(["lane", "Count", "", "e", "é"]))] = draw(ANYTHING)
    if draw(st.integers(0, 9)) == 0:
        fields.pop(draw(st.sampled_from(list(fields))))
    pairs = list(fields.items())
    if draw(st.booleans()):
        pairs = draw(st.permutations(pairs))
    if pairs and draw(st.integers(0, 15)) == 0:
        pairs.append((pairs[0][0], draw(ANYTHING)))
    space = draw(SPACE)
    inner = (b"," + space).join(space + orjson.dumps(k) + space + b":" + space + v + space for k, v in pairs)
    return space + b"{" + inner + b"}" + space


def _good(rule: FieldRule) -> bytes | None:
    match rule.kind:
        case Kind.LITERAL:
            return b'"%s"' % rule.choices[0].encode()
        case Kind.TEXT:
            return b'"t-1"'
        case _:
            return b"3"


@st.composite
def messages(draw: st.DrawFn, spec: StreamSpec, around_s: int) -> bytes | None:
    """One message: an event, a bundle, or something broken."""
    how = draw(st.integers(0, 19))
    if how == 0:
        return draw(st.one_of(st.none(), st.binary(max_size=40), ANYTHING))
    if how <= 3:
        items = draw(st.lists(objects(spec, around_s), max_size=5))
        space = draw(SPACE)
        return b"[" + (space + b",").join(items) + space + b"]"
    value = draw(objects(spec, around_s))
    if how <= 6:
        at, length = draw(st.integers(0, len(value))), draw(st.integers(0, 3))
        value = value[:at] + draw(st.binary(max_size=3)) + value[at + length :]
    if how == 7:
        value += draw(st.sampled_from([b",", b"}", b"{}", b"\x00", value]))
    return value


@st.composite
def logs(draw: st.DrawFn, spec: StreamSpec) -> list[PackedBatches]:
    """A partition's log: batches whose append times go on, with gaps in their offsets."""
    log: list[PackedBatches] = []
    position, now_s = draw(st.integers(0, 3)), 0
    for step in draw(st.lists(st.integers(0, 120), min_size=1, max_size=8)):
        now_s += step
        found = draw(st.lists(messages(spec, now_s), max_size=7))
        gaps = draw(st.lists(st.integers(1, 3), min_size=len(found), max_size=len(found)))
        offsets = list(accumulate(gaps, initial=position - 1))[1:]
        end = (offsets[-1] if offsets else position) + draw(st.integers(1, 3))
        log.append(packed(position, end, T0_MS + now_s * 1000, found, offsets))
        position = end
    return log


def facts(state: PlainFold) -> Mapping[str, Any]:
    """What both engines must have in common at any time."""
    return {
        "progress": state.progress, "replaying": state.replaying, "position": state.position,
        "events": state.events, "panes": state.open_panes,
        # rows and closed panes weigh less where they are compiled, all else the same
        "beside windows": state._ledger.bytes,
    }  # fmt: skip


@pytest.mark.parametrize("stream", STREAMS)
@settings(max_examples=40)
@given(data=st.data())
def test_both_engines_agree_on_any_log(stream: str, data: st.DataObject) -> None:
    """Captures, counters and progress are equal after each batch, also over restarts and changes of rules."""
    spec = STREAMS[stream]
    log = data.draw(logs(spec))
    homes, forward = data.draw(st.sampled_from([0, 1, 2, 3, 5, 1000])), data.draw(st.booleans())
    progress = Progress(spec.name, spec.topic, 2, epoch=3, homes=homes, forward=forward)
    # where one event more makes two messages of strays, too
    rules = RULES if data.draw(st.booleans()) else replace(RULES, limits=Limits(bundle_events=2))
    plain, compiled = PlainFold(spec, rules, progress), native(spec, rules, progress)
    for n, batch in enumerate(log):
        for state in (plain, compiled):
            state.fold(batch)
        assert facts(plain) == facts(compiled)
        if data.draw(st.booleans()):
            assert plain.capture() == compiled.capture()
        if data.draw(st.integers(0, 4)) == 0:
            # a restart: what was folded is folded again from the progress stored
            progress = plain.progress
            if data.draw(st.integers(0, 4)) == 0:
                rules = replace(rules, disorder_ms=data.draw(st.integers(0, 200_000)))
            plain, compiled = PlainFold(spec, rules, progress), native(spec, rules, progress)
            assert facts(plain) == facts(compiled)
            for again in log[: n + 1]:
                for state in (plain, compiled):
                    state.fold(again)
                assert facts(plain) == facts(compiled)
    assert plain.capture() == compiled.capture()
    if not plain.replaying:
        plain.close_all()
        compiled.close_all()
        assert facts(plain) == facts(compiled)
        assert plain.open_panes == 0
        assert plain.capture() == compiled.capture()


@pytest.mark.parametrize("stream", CITY)
def test_plain_messages_are_not_handed_over(stream: str) -> None:
    """The compiled fold does fold: every valid example, and a bundle of them, goes without Python's help."""
    spec = STREAMS[stream]
    events = [orjson.dumps(e) for e in examples(spec.event).valid]
    state: CompiledFold = native(spec, RULES, Progress(spec.name, spec.topic, 0))
    values = [*events, b"[" + b",".join(events) + b"]"]
    state.fold(packed(0, len(values), 1_746_064_800_123 + 60_000, values))
    assert (state.handed_over, state.events) == (0, 2 * len(events))
