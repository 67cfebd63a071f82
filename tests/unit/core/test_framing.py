"""Records that stand wrongly in their batch: nothing vanishes, nothing stops, and both engines agree."""

from collections.abc import Iterable

import pytest

from streams.core.framing import CorruptBatch
from streams.core.limits import Limits
from streams.core.plain import PlainFold
from streams.core.refusals import NO_KEY
from streams.core.rules import Rules
from streams.core.values import Changes, PackedBatches, Progress
from streams.registry import load_streams
from tests.chaos.raw import batch, header, longer, record
from tests.support.engines import ENGINES, engine
from tests.support.events import T0_MS, camera_event, message

SPEC = load_streams()["camera"]
APPEND_MS = T0_MS + 10_000
LAST = 2**31 - 1
RULES = Rules(limits=Limits(letter_bytes=64))


def event(n: int) -> bytes:
    """The event with the id n."""
    return message(camera_event(str(n), n))


def log(*batches: bytes) -> PackedBatches:
    """These batches in one piece."""
    data = b"".join(batches)
    at = end = 0
    while at < len(data):
        end = int.from_bytes(data[at : at + 8]) + int.from_bytes(data[at + 23 : at + 27]) + 1
        at += 12 + int.from_bytes(data[at + 8 : at + 12])
    return PackedBatches(int.from_bytes(data[:8]), end, data, 0, len(data))


def folded(name: str, pieces: Iterable[PackedBatches], start: int = 0, stored: int = 0) -> PlainFold:
    """A state that has folded these."""
    progress = Progress(SPEC.name, SPEC.topic, 0, replay_from=start, next_offset=stored)
    state = engine(name)(SPEC, RULES, progress)
    for piece in pieces:
        state.fold(piece)
    return state


def letters(changes: Changes | None) -> list[tuple[int, int, bytes]]:
    """(offset, index, bytes) of each dead letter."""
    return [(d.offset, d.index, d.raw) for d in changes.dead] if changes else []


def ordinary(base: int, count: int = 2) -> bytes:
    """A batch as any client writes it."""
    records = [record(event(base + n), n) for n in range(count)]
    return batch(records, base=base, append_ms=APPEND_MS)


READ_AS_KAFKA_DOES = {
    "a length with bits beyond the 32nd": record(event(0), 0, sized=lambda n: longer(n, 1)),
    "an offset with them": record(event(0), longer(0, 1)),
    "the size of a value with them": record(event(0), 0, value_sized=lambda n: longer(n, 2)),
    "a time of ten bytes": record(event(0), 0, at=b"\x80" * 9 + b"\2"),
    "the size of a key below -1": record(event(0), 0).replace(b"\0\0\0\1", b"\0\0\0\3"),
    "a header that is no text": record(event(0), 0, headers=header(b"\xff", b"\xff")),
}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("tricked", READ_AS_KAFKA_DOES.values(), ids=READ_AS_KAFKA_DOES)
def test_numbers_are_read_as_kafka_reads_them(tricked: bytes, name: str) -> None:
    """What a broker has taken is an event like others."""
    state = folded(name, [log(batch([tricked], append_ms=APPEND_MS), ordinary(1))])
    assert (state.folded, state.progress.dead, state.position) == (3, 0, 3)


def delta(number: int | bytes, n: int = 0) -> bytes:
    """A record of event n at an offset of its batch."""
    return record(event(n), number)


# records; the last delta, as many as there are records less one unless told; how many come before the rest
BROKEN: dict[str, tuple[list[bytes], int | None, int, int]] = {
    "0, 7": ([delta(0), delta(7, 1)], None, 1, 1),
    "-1, 0": ([delta(-1), delta(0, 1)], None, 0, 0),
    "0, 2^31-1": ([delta(0), delta(LAST, 1)], None, 1, 1),
    "0, 0": ([delta(0), delta(0, 1)], None, 1, 1),
    "1, 0": ([delta(1), delta(0, 1)], None, 0, 0),
    "0, 2, 1": ([delta(0), delta(2, 1), delta(1, 2)], None, 1, 1),
    "sparse, beyond the last": ([delta(0), delta(3, 1), delta(10, 2)], 9, 2, 4),
    "sparse, back": ([delta(5), delta(3, 1)], 9, 1, 6),
    "sparse, no room for the next": ([delta(0), delta(9, 1), delta(10, 2)], 9, 1, 1),
    "a length of eleven bytes": ([delta(0), b"\x80" * 10 + b"\0" + delta(1, 1)], None, 1, 1),
    "an offset of six bytes": ([delta(0), delta(b"\x82" + b"\x80" * 4 + b"\0", 1)], None, 1, 1),
    "a time of eleven bytes": ([delta(0), record(event(1), 1, at=b"\x80" * 10 + b"\0")], None, 1, 1),
    "a negative length": ([delta(0), b"\3" + delta(1, 1)], None, 1, 1),
    "no length": ([delta(0), b"\0" + delta(1, 1)], None, 1, 1),
    "a value beyond its record": (
        [delta(0), record(event(1), 1, value_sized=lambda n: b"\xfe\xff\x03"), delta(2, 2)], None, 1, 1,
    ),
    "a record beyond its batch": (
        [delta(0), record(event(1), 1, sized=lambda n: b"\xfe\xff\x03")], None, 1, 1,
    ),
    "bytes left over": ([delta(0), delta(1, 1) + b"rest"], None, 1, 1),
    "nothing but bytes": ([b"rest"], 4, 0, 0),
    "too few": ([delta(0), b""], None, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_the_rest_of_a_broken_batch_is_one_dead_letter(
    case: tuple[list[bytes], int | None, int, int],
) -> None:
    """
    record   ok  ok  broken  any        next batch
             folded  |-- one letter --| folded
    whatever was read before, wherever reading begins, and however the log is cut; the same in both engines.
    """
    records, last, before, place = case
    number = 0 if records == [b"rest"] else len(records)
    broken = batch(b"".join(records), base=2, number=number, last=number - 1 if last is None else last)
    broken = broken[:35] + APPEND_MS.to_bytes(8) + broken[43:]
    first = ordinary(0)
    end = log(broken).next_offset
    behind = ordinary(end)
    raw = b"".join(records[before:])[:64]
    whole, apart = [log(first, broken, behind)], [log(first), log(broken), log(behind)]
    found = []
    for name in ENGINES:
        for pieces in (whole, apart):
            state = folded(name, pieces)
            # events 0 and 1 come again in the broken batch
            assert (state.folded + state.progress.duplicates, state.progress.dead) == (4 + before, 1)
            assert state.position == end + 2
            found.append(state.capture())
            assert letters(found[-1]) == [(2 + place, 0, raw)]
            assert found[-1]
            assert f"offsets {2 + place} to {end - 1} can't be read" in found[-1].dead[0].reason
    assert all(changes == found[0] for changes in found)
    for start in range(end + 2):
        for stored in {start, 2, 2 + place, 2 + place + 1, end, end + 1} - {*range(start)}:
            plain, compiled = (folded(name, whole, start, stored).capture() for name in ENGINES)
            assert plain == compiled
            assert len(letters(plain)) == (stored < end)


@pytest.mark.parametrize("name", ENGINES)
def test_offsets_that_compaction_has_left(name: str) -> None:
    """Fewer records than offsets are no fault where they ascend."""
    left = batch([delta(1), delta(4, 1), delta(9, 2)], last=9, append_ms=APPEND_MS)
    state = folded(name, [log(left)])
    assert (state.folded, state.progress.dead, state.position) == (3, 0, 10)


def broken_header(at: int, number: int, size: int) -> bytes:
    """An ordinary batch with another number in its header."""
    made = ordinary(5)
    return made[:at] + (number % (1 << 8 * size)).to_bytes(size) + made[at + size :]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(broken_header(16, 1, 1), id="format 1"),
        pytest.param(broken_header(16, 3, 1), id="format 3"),
        pytest.param(broken_header(0, 1 << 48, 8), id="an offset of 49 bits"),
        pytest.param(broken_header(0, -1, 8), id="a negative offset"),
        pytest.param(broken_header(0, 4, 8), id="an offset below the batch before"),
        pytest.param(broken_header(23, -1, 4), id="ends before it begins"),
        pytest.param(broken_header(57, -1, 4), id="negative count"),
        pytest.param(broken_header(57, 3, 4), id="more records than offsets"),
        pytest.param(broken_header(8, 48, 4), id="smaller than its header"),
        pytest.param(broken_header(8, 1 << 20, 4), id="larger than what is there"),
    ],
)
def test_a_header_that_no_broker_writes_stops_loudly(broken: bytes, name: str) -> None:
    """Then it is the log that is broken: what came before it counts, and nothing is skipped."""
    data = ordinary(0, 5) + broken
    state = folded(name, [])
    with pytest.raises(CorruptBatch, match=r"offsets 0 to 6: no record batch at byte \d+ of \d+"):
        state.fold(PackedBatches(0, 7, data, 0, len(data)))
    assert (state.folded, state.position) == (5, 5)


@pytest.mark.parametrize("name", ENGINES)
def test_keys_come_along(name: str) -> None:
    """With what is refused."""
    state = folded(name, [])
    state.fold(log(batch([record(b"{", 0, key=b"k"), record(b"{", 1)], append_ms=APPEND_MS)))
    refused = state.refusals.since()
    assert refused
    assert refused.by_key.counts == {b"k": 1, NO_KEY: 1}
