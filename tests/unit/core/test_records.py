"""Which messages of a batch are wanted, as a table."""

from collections.abc import Sequence

import pytest

from streams.core.framing import CorruptBatch, unpack
from streams.core.limits import Limits
from streams.core.records import between, pack
from streams.core.rules import Rules
from streams.core.values import PackedBatches, Progress, RecordBatch
from streams.registry import load_streams
from tests.support.engines import ENGINES, engine

QR = load_streams()["qr"]


@pytest.mark.parametrize(
    ("offsets", "start", "end", "wanted"),
    [
        pytest.param(None, 0, 99, [10, 11, 12], id="all"),
        pytest.param(None, 11, 99, [11, 12], id="a start in the middle"),
        pytest.param(None, 0, 12, [10, 11], id="an end in the middle"),
        pytest.param(None, 13, 99, [], id="behind it"),
        pytest.param(None, 0, 10, [], id="before it"),
        pytest.param((10, 15, 16), 11, 16, [15], id="a batch with gaps"),
        pytest.param((16, 10, 15), 11, 99, [16, 15], id="in any order"),
    ],
)
def test_between(offsets: Sequence[int] | None, start: int, end: int, wanted: list[int]) -> None:
    """Each message keeps its offset."""
    values = [str(o).encode() for o in offsets or (10, 11, 12)]
    found, _, kept = between(RecordBatch(10, 17, 0, values, offsets), start, end)
    assert list(found) == wanted
    assert list(kept) == [str(o).encode() for o in wanted]


def test_packed_batches_come_out_one_by_one() -> None:
    """Of bytes that hold more than what is meant, and a batch that is empty."""
    batches = [
        RecordBatch(0, 2, 5, [b"a", None], None, [None, b"k"]),
        RecordBatch(2, 9, 6, [b"b"], [7], [b""]),
        RecordBatch(9, 12, 7, [], [], []),
        RecordBatch(12, 13, 8, [b""], None, [None]),
    ]
    packed = [pack(b).data for b in batches]
    start = len(packed[0])
    end = start + len(packed[1]) + len(packed[2])
    assert [*unpack(PackedBatches(0, 13, b"".join(packed), 0, sum(map(len, packed))), Limits())] == batches
    assert [*unpack(PackedBatches(2, 12, b"".join(packed), start, end), Limits())] == batches[1:3]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("missing", [1, 20, 70])
def test_what_is_cut_off_is_no_batch(missing: int, name: str) -> None:
    """The error names the offsets, and the byte from the first batch's beginning on."""
    first, second = pack(RecordBatch(0, 2, 5, [b"a", b"b"])), pack(RecordBatch(2, 3, 5, [b"c" * 10]))
    cut = PackedBatches(0, 3, b"before" + first.data + second.data, 6, 6 + first.end + second.end - missing)
    with pytest.raises(CorruptBatch, match=r"offsets 0 to 2: no record batch at byte \d+ of \d+, although"):
        engine(name)(QR, Rules(), Progress(QR.name, QR.topic, 0)).fold(cut)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("order", [(1, 0), (0, 0)])
def test_batches_in_another_order_are_refused(order: Sequence[int], name: str) -> None:
    """Whoever cut them out of the log has made a mistake, and a fold would take the later ones for known."""
    log = [pack(RecordBatch(3 * n, 3 * n + 3, 5, [b"a", b"b", b"c"])).data for n in range(3)]
    data = b"".join(log[n] for n in order)
    with pytest.raises(CorruptBatch):
        engine(name)(QR, Rules(), Progress(QR.name, QR.topic, 0)).fold(
            PackedBatches(0, 9, data, 0, len(data))
        )
