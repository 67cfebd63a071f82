"""Compressed batches: unpacked in their turn and up to a bound, whatever they claim and hold."""

import subprocess
import sys
from pathlib import Path

import cramjam
import pytest

from streams.core.limits import Limits
from streams.core.rules import Rules
from streams.core.values import CompressedBatch, DeadLetter, Progress
from streams.engine import PLAIN, FoldEngine
from streams.registry import load_streams
from streams.worker.client.decompress import Damaged, decompress, opened
from streams.worker.partitions import Partitions
from streams.worker.values import Fetched
from tests.chaos.raw import COMPRESS, GZIP, LZ4, SNAPPY, ZSTD, batch, bomb, record, xerial
from tests.support.engines import ENGINES, library
from tests.support.events import T0_MS, camera_event, message

CODECS = {"gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
SPEC = load_streams()["camera"]
PLACE = (SPEC.topic, 0)
MB = 1 << 20
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def compressed(data: bytes, codec: int) -> CompressedBatch:
    """As it comes from a fetch."""
    base, last = int.from_bytes(data[:8]), int.from_bytes(data[23:27])
    return CompressedBatch(base, base + last + 1, T0_MS + 60_000, codec, int.from_bytes(data[57:61]), data)


def partitions(name: str, unpack_bytes: int, limits: Limits) -> Partitions:
    """One partition of cameras from its beginning on."""
    native = FoldEngine(library(), frozenset({SPEC.topic})) if name == "native" else PLAIN
    made = Partitions([SPEC], Rules(limits=limits), native, unpack_bytes)
    made.add(Progress(SPEC.name, *PLACE))
    return made


def folded(
    name: str, batches: list[CompressedBatch], unpack_bytes: int = MB, limits: Limits | None = None
) -> tuple[int, list[DeadLetter], int]:
    """Events counted, dead letters, and the position behind these batches."""
    held = partitions(name, unpack_bytes, limits or Limits(letter_bytes=100))
    for each in batches:
        assert held.fold(PLACE, Fetched(each.base_offset, each))
    [captured] = held.capture()
    return captured.changes.progress.folded, captured.changes.dead, held.positions()[PLACE]


def records(count: int, size: int = 0, start: int = 0) -> list[bytes]:
    """Events, each with spaces behind it."""
    values = [message(camera_event(str(start + n), n % 60)) + b" " * size for n in range(count)]
    return [record(value, n) for n, value in enumerate(values)]


@every_codec
@pytest.mark.parametrize("size", [0, 1, 100, 65_536, 300_000, MB - 1, MB])
def test_what_is_small_enough_comes_out_whole(codec: int, size: int) -> None:
    """At every size up to the bound."""
    data = bytes(n * n % 251 for n in range(size))
    unpacked, more = decompress(codec, memoryview(COMPRESS[codec](data)), MB)
    assert (bytes(unpacked), more) == (data, False)


@every_codec
def test_of_what_is_larger_the_beginning_comes_out(codec: int) -> None:
    """And a byte more, or less where the codec has no parts."""
    data = bytes(n * n % 251 for n in range(MB + 1))
    unpacked, more = decompress(codec, memoryview(COMPRESS[codec](data)), MB)
    assert more
    assert MB - 32 * 1024 < len(unpacked) <= MB + 1
    assert data.startswith(unpacked[:-1])


def test_snappy_as_librdkafka_writes_it() -> None:
    """One block without a frame; and frames of Java behind each other."""
    data = b"abc" * 9999
    assert bytes(decompress(SNAPPY, memoryview(bytes(cramjam.snappy.compress_raw(data))), MB)[0]) == data
    assert bytes(decompress(SNAPPY, memoryview(xerial(data) * 2), MB)[0]) == data * 2


@every_codec
@pytest.mark.parametrize("damage", ["empty", "cut", "no such data", "flipped"])
def test_damage_is_told(codec: int, damage: str) -> None:
    """In our own words, whatever error the codec has; a flipped bit at least does no harm."""
    data = COMPRESS[codec](b"some text, some text and more" * 50)
    broken = {"empty": b"", "cut": data[:-9], "no such data": b"\xff" * 99}.get(damage)
    if broken is not None:
        if (codec, damage) != (SNAPPY, "empty"):
            with pytest.raises(Damaged):
                decompress(codec, memoryview(broken), MB)
        return
    for at in range(len(data)):
        try:
            decompress(codec, memoryview(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]), MB)
        except Damaged:
            continue


def test_an_unknown_compression_is_damage() -> None:
    """Kafka has four."""
    with pytest.raises(Damaged, match="there is no compression 7"):
        decompress(7, memoryview(b""), MB)


@pytest.mark.parametrize("name", ENGINES)
@every_codec
def test_what_can_t_be_uncompressed_is_one_dead_letter(codec: int, name: str) -> None:
    """With its bytes as they are; what follows counts."""
    broken = compressed(batch(b"\xff" * 300, number=3, codec=codec), codec)
    behind = compressed(batch(records(2), base=3, codec=codec), codec)
    count, dead, position = folded(name, [broken, behind])
    assert (count, position) == (2, 5)
    [letter] = dead
    assert (letter.offset, letter.raw) == (0, b"\xff" * 100)
    assert letter.reason.startswith("offsets 0 to 2 can't be uncompressed: ")


@pytest.mark.parametrize("name", ENGINES)
@every_codec
def test_messages_beyond_the_bound_are_a_dead_letter_each(codec: int, name: str) -> None:
    """
    message  0 ... k-1      k                k+1 ... 39    next batch
             folded         bytes up to the bound, none    folded
    """
    large = compressed(batch(records(40, 50_000), codec=codec), codec)
    behind = compressed(batch(records(2, start=40), base=40, codec=codec), codec)
    count, dead, position = folded(name, [large, behind])
    kept = count - 2
    assert 18 <= kept <= 21
    assert [letter.offset for letter in dead] == [*range(kept, 40)]
    assert position == 42
    assert dead[0].raw
    assert not any(letter.raw for letter in dead[1:])
    assert dead[0].reason == (
        "the batch of offsets 0 to 39 unpacks to more than 1 MB (SONGLO_UNPACK_MB): "
        "the producer must send smaller ones"
    )


@pytest.mark.parametrize("name", ENGINES)
@every_codec
def test_too_many_of_them_are_one(codec: int, name: str) -> None:
    """A few bytes may claim millions of messages."""
    data = batch(COMPRESS[codec](b" " * (2 * MB)), number=2**31 - 1, codec=codec)
    spaces = folded(name, [compressed(data, codec)])
    # the first byte says that a record of 16 bytes follows: none of a batch, whatever follows
    assert (spaces[0], len(spaces[1]), spaces[2]) == (0, 1, 2**31 - 1)
    limits = Limits(bundle_events=15, letter_bytes=100)
    large = compressed(batch(records(40, 50_000), codec=codec), codec)
    count, dead, position = folded(name, [large], limits=limits)
    assert (len(dead), dead[0].offset, position) == (1, count, 40)


@pytest.mark.parametrize("where", ["value", "key", "header"])
@pytest.mark.parametrize("name", ENGINES)
@every_codec
def test_wherever_the_bytes_are(codec: int, name: str, where: str) -> None:
    """In a key or a header as well as in a value."""
    one = compressed(batch(bomb(codec, 3 * MB, where=where), number=1, codec=codec), codec)
    count, dead, position = folded(name, [one])
    assert (count, len(dead), position) == (0, 1, 1)
    assert len(dead[0].raw) <= 100
    assert "unpacks to more than 1 MB" in dead[0].reason


@pytest.mark.parametrize("name", ENGINES)
def test_what_follows_the_last_record_does_not_vanish(name: str) -> None:
    """Not even where the bound cuts right behind it."""
    [only] = records(1)
    only = record(message(camera_event("0", 0)) + b" " * (MB - len(only) - 4), 0)
    data = only + b" " * (MB - len(only)) + b" " * 99
    cut = compressed(batch(COMPRESS[ZSTD](data), number=1, codec=ZSTD), ZSTD)
    count, dead, position = folded(name, [cut])
    assert (count, len(dead), position) == (0, 1, 1)


BOMBS = {"gzip": (GZIP, 315), "snappy": (SNAPPY, 150), "lz4": (LZ4, 300), "zstd": (ZSTD, 1570)}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("bombs", BOMBS.values(), ids=BOMBS)
def test_a_poll_of_bombs_takes_twice_the_bound(bombs: tuple[int, int], name: str, tmp_path: Path) -> None:
    """Twenty at once, in a process of its own, as Linux counts its memory; and in little time."""
    codec, size_mb = bombs
    (tmp_path / "bomb").write_bytes(batch(bomb(codec, size_mb * MB), number=1, codec=codec))
    command = [sys.executable, "-m", __name__, str(tmp_path / "bomb"), str(codec), name]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4], timeout=120
    )
    grown_mb, dead, letter_bytes = map(int, done.stdout.split())
    assert (dead, letter_bytes) == (20, 20 * MB)
    assert grown_mb < 2 * 64 + 20 + 32


def main(path: str, codec: int, name: str) -> None:
    """What the process of its own does: prints MB grown, dead letters, and their bytes."""
    held = partitions(name, 64 * MB, Limits())
    data = Path(path).read_bytes()
    poll = [compressed(n.to_bytes(8) + data[8:], codec) for n in range(20)]
    before = _peak_kb()
    for each in poll:
        held.fold(PLACE, Fetched(each.base_offset, each))
    grown = _peak_kb() - before
    dead = held.capture()[0].changes.dead
    sys.stdout.write(f"{grown >> 10} {len(dead)} {sum(len(letter.raw) for letter in dead)}\n")


def _peak_kb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_other_batches_are_left_alone() -> None:
    """Only what is compressed is opened."""
    data = batch(records(1))
    batches = compressed(data, 0)
    assert opened(opened(batches, MB, 1), MB, 1) == opened(batches, MB, 1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
