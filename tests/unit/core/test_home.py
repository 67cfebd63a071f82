"""Keys go where every other Kafka client would send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as reference

from streams.core.home import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [  # from the tests of Kafka's Java client, org.apache.kafka.common.utils.UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_the_java_client(key: bytes, expected: int) -> None:
    """The vectors of the Java client, whose integers are signed."""
    assert murmur2(key) == expected % 2**32


@given(st.binary(max_size=100))
def test_murmur2_is_that_of_kafka_python(key: bytes) -> None:
    """Another client's own implementation agrees on any bytes."""
    assert murmur2(key) == reference(key) % 2**32


@given(st.binary(max_size=80), st.integers(1, 1000))
def test_a_partition_exists(key: bytes, partitions: int) -> None:
    """Whatever the key, its partition is one of the topic's."""
    assert 0 <= partition_of(key, partitions) < partitions
