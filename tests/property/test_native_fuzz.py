"""Many mutated messages, seeded: both engines give the same answers, and fold.c keeps within its memory."""

import random
import sys
from pathlib import Path

import orjson
import pytest

from schemas.jsonschema import examples
from streams.core.framing import CorruptBatch
from streams.core.plain import PlainFold
from streams.core.records import HEADER
from streams.core.rules import Rules
from streams.core.values import PackedBatches, Progress
from streams.native.compiled import CompiledFold
from streams.native.library import Library
from streams.registry import load_streams
from streams.spec import StreamSpec
from tests.support.engines import library
from tests.support.events import packed
from tests.support.sanitizers import run_sanitized

STREAMS = load_streams()
RULES = Rules(disorder_ms=60_000)
NOW_MS = 1_746_064_800_123
# what mutations put in: JSON's own signs, digits, bytes of other alphabets
ALPHABET = (
    *(bytes([sign]) for sign in b'"\\{}[],:.-e09 \n\x00\x7f\x80\xc3'),
    *(text.encode() for text in ("á", "ỷ", "😀", "null", "true", "00", "99999999", "\\u0041")),
)


def mutated(rng: random.Random, spec: StreamSpec, now_ms: int) -> bytes:
    """A valid message, or a bundle, with up to three small damages; its id and time vary."""
    many = rng.randrange(400) if rng.random() < 0.02 else 0
    events = [dict(e) for e in rng.choices(examples(spec.event).valid, k=many or rng.choice([1, 1, 1, 2, 3]))]
    for e in events:
        # of large bundles, so that rooms for ids and rows grow too
        e["event_id"] = f"e{rng.randrange(9999 if many else 40)}"
        if many:
            e[spec.key] = f"key-{rng.randrange(9999)}"
        if rng.random() < 0.95:
            e["occurred_at"] = now_ms + rng.randrange(-90_000, 10_000)
    value = orjson.dumps(events[0] if len(events) == 1 else events)
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        at = rng.randrange(len(value) + 1)
        value = value[:at] + rng.choice([b"", *ALPHABET]) + value[at + rng.randrange(4) :]
    return value


def fuzz(spec: StreamSpec, seed: int, rounds: int, fold_c: Library) -> int:
    """Fold the same damaged messages with both engines; how many went without being handed over."""
    rng, at_ms, position, direct = random.Random(seed), NOW_MS, 0, 0
    progress = Progress(spec.name, spec.topic, 0, homes=rng.choice([0, 2, 7]))
    plain, compiled = (
        PlainFold(spec, RULES, progress),
        CompiledFold(spec, RULES, progress, fold_c),
    )
    for _ in range(rounds):
        at_ms += rng.randrange(20_000)
        values = [mutated(rng, spec, at_ms) for _ in range(rng.randrange(30))]
        batch = packed(position, position + len(values) + 1, at_ms, values)
        position = batch.next_offset
        plain.fold(batch)
        compiled.fold(batch)
        assert plain.progress == compiled.progress
        direct += len(values)
        if rng.random() < 0.3:
            assert plain.capture() == compiled.capture()
    assert plain.capture() == compiled.capture()
    return direct - compiled.handed_over


def damaged_log(rng: random.Random, spec: StreamSpec) -> tuple[bytes, int]:
    """Batches whose headers and records are damaged, and the offset behind them."""
    data, starts, offset = bytearray(), list[int](), 0
    for _ in range(rng.randrange(1, 5)):
        values = [mutated(rng, spec, NOW_MS) for _ in range(rng.randrange(6))]
        gaps = rng.choice([0, 0, 3]) or not values
        offsets = sorted(rng.sample(range(offset, offset + len(values) + gaps), len(values)))
        starts.append(len(data))
        batch = packed(offset, offset + len(values) + gaps, NOW_MS, values, offsets)
        data += batch.data
        offset = batch.next_offset
    for _ in range(rng.randrange(1, 4)):
        # headers, and where records begin, are small beside the rest and meant to be met as often
        header = rng.choice(starts) + rng.randrange(HEADER.size)
        record = rng.choice(starts) + HEADER.size + rng.randrange(12)
        at = min(rng.choice([header, record, record, rng.randrange(len(data))]), len(data) - 1)
        put = rng.choice([b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\x80\x80\x80\x80\x10", rng.randbytes(1)])
        data[at : at + len(put)] = put
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data), offset


def fuzz_framing(spec: StreamSpec, seed: int, rounds: int, fold_c: Library) -> tuple[int, int]:
    """Fold damaged batches with both engines; how often the log was broken, or the rest of a batch unread."""
    rng, corrupt, rests = random.Random(seed), 0, 0
    for _ in range(rounds):
        first = rng.randrange(8)
        progress = Progress(spec.name, spec.topic, 0, replay_from=first, next_offset=first + rng.randrange(8))
        states = (
            PlainFold(spec, RULES, progress),
            CompiledFold(spec, RULES, progress, fold_c),
        )
        data, offset = damaged_log(rng, spec)
        fold_c.run(data, rng.randrange(len(data) + 1), rng.randrange(400), 0)
        cut_bytes = rng.choice([0, 0, 1 << 20])
        told = [_folded(state, PackedBatches(0, offset, data, 0, len(data), cut_bytes)) for state in states]
        assert told[0] == told[1]
        assert states[0].position == states[1].position
        changes, twin = (state.capture() for state in states)
        assert changes == twin
        corrupt += told[0] != ""
        rests += changes is not None and any("offsets" in letter.reason for letter in changes.dead)
    return corrupt, rests


def _folded(state: PlainFold, batches: PackedBatches) -> str:
    """What is told when the log is broken."""
    try:
        state.fold(batches)
    except CorruptBatch as error:
        return str(error)
    return ""


@pytest.mark.parametrize("stream", STREAMS)
def test_damaged_messages_are_judged_alike(stream: str) -> None:
    """Whatever happens to the bytes of a message, both engines take or refuse the same events."""
    assert fuzz(STREAMS[stream], seed=7, rounds=80, fold_c=library()) > 100


def test_damaged_framing_is_told() -> None:
    """Batches that are none end in an error that names the place, records that are none as dead letters."""
    corrupt, rests = fuzz_framing(STREAMS["camera"], seed=7, rounds=600, fold_c=library())
    assert corrupt > 40
    assert rests > 40


def test_nothing_is_read_or_written_outside_of_memory(tmp_path: Path) -> None:
    """The same with the sanitizers of addresses and undefined behaviour, in a process of its own."""
    done = run_sanitized("tests.property.test_native_fuzz", tmp_path)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def main(path: str) -> None:
    """What the process with the sanitizers runs."""
    fold_c = Library(Path(path))
    for spec in STREAMS.values():
        fuzz(spec, seed=11, rounds=20, fold_c=fold_c)
        fuzz_framing(spec, seed=11, rounds=100, fold_c=fold_c)
    sys.stdout.write("fine\n")


if __name__ == "__main__":
    main(sys.argv[1])
