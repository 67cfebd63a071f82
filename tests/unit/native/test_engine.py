"""Which engine a worker gets, and what the rules of fields are that both engines keep."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from schemas.camera import CameraEvent
from schemas.event import END_MS, MIN_MS, Code, Event, Instant
from schemas.fields import LEAST, MOST, FieldRule, Kind, field_rules
from streams.catalog.camera import SPEC
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.engine import PLAIN, EngineError, choose_engine
from streams.measures import Count, Distribution, Has, Is, Sum, Thousandths
from streams.native.build import build, library_path
from streams.native.checks import Unsupported
from streams.native.compiled import CompiledFold
from streams.native.tables import stream_table
from streams.registry import load_streams
from streams.spec import StreamSpec
from tests.support.engines import library
from tests.support.odd import PARKING

STREAMS = list(load_streams().values())
ORIGIN = Progress(SPEC.name, SPEC.topic, 0)


class Checked(Event, frozen=True, gc=False, kw_only=True):
    """An event with a rule in code, and fields that can't be folded by tables."""

    zone: Code
    note: str = ""
    free: Annotated[float, Meta(ge=0)] | None = None
    many: int | None = None

    def check(self) -> None:
        """Nothing is refused."""


class Loose(Checked, frozen=True, gc=False, kw_only=True):
    """The same without the rule."""

    check = Event.check


class CheckedCamera(CameraEvent, frozen=True, gc=False, kw_only=True):
    """A camera's event with a rule in code."""

    check = Checked.check


def loose(*measures: Count | Sum | Distribution) -> StreamSpec:
    """A stream of such events."""
    return StreamSpec(
        name="loose", topic="loose", event=Loose, key="zone", table="t", view="v",
        dimensions=("zone", "ward_code"), measures=measures,
    )  # fmt: skip


def test_python_is_chosen_where_it_is_asked_for() -> None:
    """No folder is looked at."""
    assert choose_engine("plain", None, STREAMS) == (PLAIN, "folding in Python, as set")


def test_auto_falls_back_and_says_why() -> None:
    """A worker without compiled code runs all the same."""
    engine, sentence = choose_engine("auto", None, STREAMS)
    assert engine == PLAIN
    assert sentence.endswith("no folder for compiled code is set")


def test_native_does_not_fall_back() -> None:
    """Who asks for it wants to be told."""
    with pytest.raises(EngineError, match="no folder"):
        choose_engine("native", None, STREAMS)


@pytest.mark.parametrize("choice", ["auto", "native"])
def test_a_worker_never_compiles(choice: str, tmp_path: Path) -> None:
    """What set-up has not built is folded in Python, or not at all; the sentence says who builds it."""
    try:
        sentence = choose_engine(choice, tmp_path, STREAMS)[1]
    except EngineError as error:
        sentence = str(error)
    assert ("folding in Python" in sentence) == (choice == "auto")
    assert f"neither in the package nor in {tmp_path}; set-up builds it" in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_library_is_not_used(tmp_path: Path) -> None:
    """As one that was made for a newer C library can't be loaded: a reason like any other."""
    library_path(tmp_path).write_bytes(b"no library")
    engine, sentence = choose_engine("auto", tmp_path, STREAMS)
    assert engine == PLAIN
    assert "can't be loaded" in sentence
    with pytest.raises(EngineError, match="can't be loaded"):
        choose_engine("native", tmp_path, STREAMS)


def test_streams_that_tables_can_t_say_stay_in_python(tmp_path: Path) -> None:
    """The others of the same worker are compiled; `native` stops and names the stream."""
    library()
    build(tmp_path)
    checked = replace(SPEC, name="checked", topic="checked", event=CheckedCamera)
    engine, sentence = choose_engine("auto", tmp_path, [*STREAMS, checked])
    assert engine.compiled == {spec.topic for spec in STREAMS}
    assert "CheckedCamera has a check of its own" in sentence
    assert isinstance(engine.new_fold(SPEC, Rules(), ORIGIN), CompiledFold)
    assert not isinstance(engine.new_fold(checked, Rules(), ORIGIN), CompiledFold)
    with pytest.raises(EngineError, match="SONGLO_FOLD=auto"):
        choose_engine("native", tmp_path, [*STREAMS, checked])


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (replace(loose(), event=Checked), "Checked has a check of its own"),
        (replace(loose(), dimensions=("note", "ward_code")), "note must be a text"),
        (loose(Sum("many", of="many")), "many must be a time or a bounded whole number"),
        (loose(Distribution("free", of=Thousandths("free"))), "free must be a number from 0"),
        (loose(Count("note", when=(Is("note", "x"),))), "note must be a text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_tables_can_t_say_is_named(spec: StreamSpec, reason: str) -> None:
    """The stream, the field, and what it would have to be."""
    with pytest.raises(Unsupported, match=rf"stream loose: (the field )?{reason}"):
        stream_table(spec, Rules())


def test_tables_say_all_of_an_odd_stream() -> None:
    """Also what the city's own streams do not use."""
    table = stream_table(
        replace(PARKING, measures=(*PARKING.measures, Count("n", when=(Has("paid"),)))), Rules()
    )
    assert (table.n_fields, table.n_dimensions, table.n_orders) == (18, 5, 2)


def test_rules_of_fields_come_from_their_types() -> None:
    """Bounds are inclusive, whatever way they were written."""

    class Odd(Event, frozen=True, gc=False, kw_only=True):
        exclusive: Annotated[int, Meta(gt=1, lt=9)]
        real: Annotated[float, Meta(gt=0, lt=1)]
        pattern: Annotated[str, Meta(pattern="x")]
        even: Annotated[int, Meta(multiple_of=2)]
        either: int | str
        free: int | None = None
        at: Instant | None = None

    rules = {rule.name: rule for rule in field_rules(Odd)}
    assert rules["exclusive"] == FieldRule("exclusive", Kind.INTEGER, True, False, None, 2, 8)
    assert 0 < rules["real"].low < 1e-300
    assert 0.999 < rules["real"].high < 1
    assert {rules[name].kind for name in ("pattern", "even", "either")} == {Kind.OPAQUE}
    assert rules["free"] == FieldRule("free", Kind.INTEGER, False, True, None, LEAST, MOST)
    assert rules["at"] == FieldRule("at", Kind.INSTANT, False, True, None, MIN_MS, END_MS - 1)
