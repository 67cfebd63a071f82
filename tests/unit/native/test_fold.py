"""What fold.c does on its own account: hashes, alphabets, numbers, times, building and loading."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from xxhash import xxh3_64_intdigest

from streams.catalog.camera import SPEC
from streams.catalog.qr import SPEC as QR
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.native.build import BuildError, build, library_path
from streams.native.compiled import CompiledFold
from tests.support.engines import library, native
from tests.support.events import T0_MS, camera_event, message, packed
from tests.support.odd import PARKING

ORIGIN = Progress(SPEC.name, SPEC.topic, 0)
LATIN = [chr(c) for a, b in [(0xC0, 0x250), (0x300, 0x370), (0x1E00, 0x1F00)] for c in range(a, b)]


def folded(values: list[bytes], append_ms: int = T0_MS + 60_000) -> tuple[PlainFold, CompiledFold]:
    """Both engines' states after one batch."""
    batch = packed(0, len(values), append_ms, values)
    states = PlainFold(SPEC, Rules(), ORIGIN), native(SPEC, Rules(), ORIGIN)
    for state in states:
        state.fold(batch)
    return states


def test_ids_hash_as_in_python() -> None:
    """Ids written by one engine are found by the other: XXH3 of every length that fold.c hashes."""
    rng = random.Random(3)
    for size in range(241):
        text = rng.randbytes(size)
        assert library().hash(text, size) == xxh3_64_intdigest(text), size


def test_the_alphabets_that_are_known_are_printable() -> None:
    """Every code point that fold.c takes for printable is, and Vietnamese needs no other."""
    assert all(c.isprintable() for c in LATIN)
    assert set("ăâđêôơưáàảãạấầẩẫậắằẳẵặéèẻẽẹếềểễệíìỉĩịóòỏõọốồổỗộớờởỡợúùủũụứừửữựýỳỷỹỵĐ") <= set(LATIN)
    texts = [camera_event(f"e{i}", 5, direction=c) for i, c in enumerate(LATIN)]
    plain, compiled = folded([message(e) for e in texts])
    assert compiled.handed_over == 0
    assert plain.capture() == compiled.capture()


@pytest.mark.parametrize("last", [0x24F, 0x36F, 0x1EFF])
def test_the_alphabets_end_where_they_end(last: int) -> None:
    """The code point behind a known alphabet is Python's to judge."""
    values = [message(camera_event(f"e{c}", 5, direction=chr(c))) for c in (last, last + 1)]
    plain, compiled = folded(values)
    assert compiled.handed_over == 1
    assert plain.capture() == compiled.capture()


@pytest.mark.parametrize("events", [17, 33, 200, 3000])
def test_a_bundle_may_have_any_number_of_events(events: int) -> None:
    """Its events outgrow the room that bundles had before, each with a camera of its own."""
    many = [camera_event(f"e{i}", 5, camera_id=f"cam-{i}") for i in range(events)]
    for _ in range(20):
        plain, compiled = folded([message(*many[:2]), message(*many)])
        assert compiled.handed_over == 0
        assert plain.capture() == compiled.capture()


def test_numbers_round_as_in_python() -> None:
    """Thousandths of decimals of any length, halves and their neighbours among them."""
    rng = random.Random(5)
    numbers = [f"{rng.uniform(0, 1000):.{digits}f}" for digits in range(1, 17) for _ in range(150)]
    numbers += [repr(rng.uniform(0, 1000)) for _ in range(1000)]
    numbers += [f"{n}.{n:03}5{tail}" for n in range(1000) for tail in ("", "0000000000001", "000000000000")]
    numbers += [f"{n}.0004{'9' * nines}" for n in (0, 1, 7, 999) for nines in range(17)]
    events = [message(camera_event(f"e{i}", 5, speed_kmh=0)) for i in range(len(numbers))]
    values = [e.replace(b'_kmh":0', f'_kmh":{n}'.encode()) for e, n in zip(events, numbers, strict=True)]
    plain, compiled = folded(values)
    assert compiled.handed_over < len(values) // 5, "only what has more than 19 digits"
    assert plain.capture() == compiled.capture()


def test_times_as_text_are_the_same_times() -> None:
    """Every day from 2000 to 2099, and offsets of both signs, without Python's help."""
    days = [f"{y}-{m:02}-{d:02}T{h:02}:05:59.9{z}" for y in (2000, 2023, 2024, 2099) for m in range(1, 13)
            for d in (1, 28) for h, z in [(0, "Z"), (23, "+07:00"), (12, "-09:30")]]  # fmt: skip
    events = [{**camera_event(f"e{i}", 0), "occurred_at": day} for i, day in enumerate(days)]
    states = PlainFold(SPEC, Rules(), ORIGIN), native(SPEC, Rules(), ORIGIN)
    for n, event in enumerate(events):
        for state in states:
            state.fold(packed(n, n + 1, 4_102_444_800_000, [message(event)]))
        assert states[0].progress == states[1].progress, event
    assert states[0].capture() == states[1].capture()


def test_memory_is_given_back() -> None:
    """Once panes have closed and are flushed, fold.c holds no more than for the open ones."""
    state, held = native(SPEC, Rules(), ORIGIN), []
    for minute in range(30):
        events = [camera_event(f"{minute}-{i}", minute * 60, camera_id=f"c{i}") for i in range(300)]
        state.fold(
            packed(minute * 300, minute * 300 + 300, T0_MS + minute * 60_000, [message(e) for e in events])
        )
        state.capture()
        held.append(state.memory)
    assert all(a == b for a, b in pairwise(held[5:]))


def test_a_library_is_built_once(tmp_path: Path) -> None:
    """The second call finds what the first one made; another source is another library."""
    library()
    made = build(tmp_path)
    changed = made.stat().st_mtime_ns
    assert build(tmp_path) == made == library_path(tmp_path)
    assert made.stat().st_mtime_ns == changed
    assert [p.name for p in tmp_path.iterdir()] == [made.name]


def test_a_source_that_does_not_compile_is_told(tmp_path: Path) -> None:
    """The error holds what the compiler said, and nothing is left behind."""
    library()
    source = tmp_path / "fold.c"
    source.write_text("int main(void) { return nothing; }", encoding="utf-8")
    with pytest.raises(BuildError, match="nothing"):
        build(tmp_path / "made", source)
    assert list((tmp_path / "made").iterdir()) == []


def test_without_a_compiler_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a compiler gets a sentence that names what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="apt-get install gcc"):
        build(tmp_path)


def test_wide_sums_are_exact() -> None:
    """A sum beyond 64 bits comes out whole."""
    state = native(QR, Rules(), Progress(QR.name, QR.topic, 0))
    event: dict[str, Any] = {
        "occurred_at": T0_MS, "ward_code": "w", "merchant_id": "m", "merchant_category": "school",
        "provider": "p", "succeeded": 1, "failed": 0, "amount_vnd": 2**53 - 1,
    }  # fmt: skip
    values = [message({"event_id": str(i), **event}) for i in range(5000)]
    state.fold(packed(0, len(values), T0_MS, values))
    changes = state.capture()
    assert changes is not None
    at = QR.columns.index("amount_vnd")
    assert changes.rows.columns[at][0] == 5000 * (2**53 - 1) > 2**64


def test_a_number_without_bounds_may_be_as_large_as_a_double() -> None:
    """Its thousandths are infinite; only whether it is there counts. The doubled field goes to Python."""
    value = (
        b'{"free_number":0,"occurred_at":%d,"ward_code":"t-1","event_id":"e0","free_number":1.7e305}' % T0_MS
    )
    for number in (value, value.replace(b":1.7", b":-1.7")):
        state = native(PARKING, Rules(), Progress(PARKING.name, PARKING.topic, 0))
        state.fold(packed(0, 1, T0_MS, [number]))
        assert state.folded == 1
