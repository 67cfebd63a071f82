"""Which messages of a batch are wanted, as a table."""

from collections.abc import Sequence

import pytest

from streams.core.records import between
from streams.core.values import RecordBatch


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
    found, kept = between(RecordBatch(10, 17, 0, values, offsets), start, end)
    assert list(found) == wanted
    assert list(kept) == [str(o).encode() for o in wanted]
