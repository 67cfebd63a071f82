"""How fold.c packs what it has folded: texts as numbers, numbers in few bytes, ids in order."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.catalog.camera import SPEC
from streams.core.packed import Layout
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Changes, Progress
from streams.native.compiled import CompiledFold
from tests.support.engines import library, native
from tests.support.events import T0_MS, camera_event, message, packed

ORIGIN = Progress(SPEC.name, SPEC.topic, 0)
# texts of at most 24 bytes have numbers, 254 of each dimension
LONGEST, MOST = 24, 254
# pairs that begin alike, or end where a word of eight bytes does
NEAR = [text for n in (1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 40) for text in ("a" * n, "a" * (n - 1) + "b")]


class Twins:
    """Both engines, fed with the same."""

    def __init__(self) -> None:
        self.plain, self.compiled = PlainFold(SPEC, Rules(), ORIGIN), native(SPEC, Rules(), ORIGIN)
        self.number = 0

    def fold(self, cameras: Sequence[str], **fields: Any) -> None:
        """An event of each camera."""
        if not cameras:
            return
        names = range(self.number, self.number + len(cameras))
        events = [
            camera_event(f"e{n}", 5, camera_id=c, **fields) for n, c in zip(names, cameras, strict=True)
        ]
        batch = packed(self.number, names.stop, T0_MS + 60_000, [message(event) for event in events])
        self.number = names.stop
        self.plain.fold(batch)
        self.compiled.fold(batch)

    def flush(self) -> Changes:
        """What both of them have, once it is found to be the same."""
        plain, compiled = self.plain.capture(), self.compiled.capture()
        assert plain == compiled
        assert compiled
        return compiled


def layouts(changes: Changes) -> list[Layout]:
    """Of each column."""
    return [column.layout for column in changes.rows.columns]  # type: ignore[attr-defined]  # all are packed


def test_texts_that_are_few_travel_as_numbers() -> None:
    """The ninth flush knows the texts of the first; a row whose text is absent has number 0."""
    twins = Twins()
    for n in range(9):
        twins.fold([f"cam-{n}", "cam-0", "xe máy"], direction=None if n % 2 else "north")
        assert set(layouts(twins.flush())[1:7]) == {Layout.CODES}
    assert twins.compiled.handed_over == 0


@pytest.mark.parametrize("cameras", [MOST, MOST + 1, 600])
def test_a_dimension_may_have_more_texts_than_there_are_numbers(cameras: int) -> None:
    """Those that came first keep theirs for ever; rows of the others make their column one of texts."""
    twins, rng = Twins(), random.Random(cameras)
    names = [f"cam-{n:04}" for n in range(cameras)]
    expected = Layout.CODES if cameras <= MOST else Layout.TEXT
    for _ in range(3):
        twins.fold(rng.sample(names, cameras))
        twins.fold(rng.choices(names, k=100))
        assert layouts(twins.flush())[1:3] == [expected, Layout.CODES]


@pytest.mark.parametrize("text", NEAR)
def test_only_short_texts_have_numbers(text: str) -> None:
    """Whatever stands behind them in the message."""
    twins = Twins()
    twins.fold([text, text, "other"])
    changes = twins.flush()
    assert len(changes.rows) == 2
    assert layouts(changes)[1] is (Layout.CODES if len(text) <= LONGEST else Layout.TEXT)


@settings(max_examples=150)
@given(
    st.lists(
        st.lists(st.sampled_from(NEAR) | st.text("ab", min_size=1, max_size=30), max_size=40), max_size=4
    )
)
def test_texts_that_begin_alike_are_told_apart(flushes: list[list[str]]) -> None:
    """Rows of any texts, over several flushes."""
    twins = Twins()
    for cameras in flushes:
        twins.fold(cameras)
        if cameras:
            twins.flush()


@pytest.mark.parametrize(
    ("count", "layout"), [(255, Layout.U8), (256, Layout.U16), (2**16, Layout.U32), (10**9, Layout.U32)]
)
def test_numbers_are_as_narrow_as_they_can_be(count: int, layout: Layout) -> None:
    """One that needs more bytes makes its column wide, from then on."""
    twins = Twins()
    twins.fold(["a", "b"], count=1, speed_kmh=0.001)
    assert layouts(twins.flush())[9:11] == [Layout.U8, Layout.U8]
    twins.fold(["c"], count=count)
    wide = layouts(twins.flush())
    twins.fold(["d"], count=1)
    assert wide[10] is layout is layouts(twins.flush())[10]
    assert wide[9] is Layout.U8


def test_a_sum_beyond_32_bits_is_wide() -> None:
    """4.3 times a thousand million objects."""
    twins = Twins()
    twins.fold(["a"] * 5, count=10**9)
    assert layouts(twins.flush())[10] is Layout.U64


def test_histograms_of_many_buckets_are_in_order() -> None:
    """Of some speeds, of one, and of none, in elements of four bytes."""
    twins, rng = Twins(), random.Random(5)
    for _ in range(300):
        twins.fold([rng.choice("abc")], speed_kmh=rng.randrange(1_000_000) / 1000)
    twins.fold(["one"], speed_kmh=1000)
    twins.fold(["none"], speed_kmh=None)
    buckets, weights = twins.flush().rows.columns[-2:]
    assert (buckets.element, weights.element) == (Layout.U32, Layout.U8)  # type: ignore[attr-defined]  # packed


@given(st.lists(st.lists(st.sampled_from([None, *range(5, 300, 7)]), max_size=40), max_size=12))
@settings(max_examples=60)
def test_buckets_are_in_order_however_many_a_row_has(rows: list[list[int | None]]) -> None:
    """Up to three of them stand in the row itself, more in a table of its own; flushed twice."""
    twins = Twins()
    for again in (0, 1):
        for n, speeds in enumerate(rows):
            for speed in speeds[again:]:
                twins.fold([f"cam-{n}"], speed_kmh=speed)
        if any(speeds[again:] for speeds in rows):
            twins.flush()


@pytest.mark.parametrize("shift", [0, 8, 40, 56])
def test_ids_are_sorted_whatever_they_are(shift: int) -> None:
    """Also those that nobody expects of hashes: all of them with the same first, or the same last bits."""
    state: CompiledFold = native(SPEC, Rules(), ORIGIN)
    rng, event = random.Random(shift), camera_event("e", 5)
    ids = [(rng.getrandbits(14) + 1 << shift) % 2**64 | 1 for _ in range(3000)]
    state.fold(packed(0, 1, T0_MS + 60_000, [message(event)]))
    numbers, texts, present = _fields(state)
    for seen in ids:
        assert library().add(state._state, 1, 0, T0_MS + 60_000, seen, present, numbers, texts) == 0
    later = T0_MS + 10**7
    state.fold(packed(2, 3, later, [message(camera_event("later", (later - T0_MS) / 1000))]))
    changes = state.capture()
    assert changes
    (closed,) = changes.closed
    found = [*closed.ids]
    assert found == sorted(found)
    assert {*found} >= {*ids}
    assert len(found) == len({*ids}) + 1


def _fields(state: CompiledFold) -> tuple[bytes, bytes, int]:
    """An event as songlo_add takes it: only its time is there."""
    numbers = [0] * (state._numbers.size // 8)
    at = next(i for i, name, _ in state._used if name == "occurred_at")
    numbers[at] = T0_MS + 5000
    return state._numbers.pack(*numbers), b"", 1 << at
