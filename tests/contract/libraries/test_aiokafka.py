"""What delivery takes for granted of aiokafka; fails when the library changes under it."""

import asyncio
import hashlib
import inspect
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka import conn
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.structs import TopicPartition

from streams.engine import PLAIN
from streams.kafka_access import KafkaAccess
from streams.worker.client.connect import client
from streams.worker.client.decompress import UNPACK_BYTES
from streams.worker.client.unpack import install
from streams.worker.config import WorkerConfig
from tests.support.batches import messages, record_batch

TP = TopicPartition("camera.events", 0)


def fingerprint(part: Any) -> str:
    """A short hash of a function's source."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:12]


def test_the_version_is_the_one_that_was_read() -> None:
    """Everything below was read in this version; read it again before changing the number."""
    assert aiokafka.__version__ == "0.14.0"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (fetcher.PartitionRecords._unpack_records, "b803e6d46480"),
        (fetcher.PartitionRecords._consume_aborted_up_to, "56876530cd64"),
        (fetcher.PartitionRecords._contains_abort_marker, "17e9ad2322ef"),
        (fetcher.PartitionRecords.__init__, "8ec1c2ae6ea1"),
        (fetcher.FetchResult.getall, "3e717e30de50"),
        (fetcher.FetchResult.check_assignment, "b5340df67e3f"),
        (fetcher.Fetcher._proc_fetch_request, "59bf948fff47"),
        (fetcher.Fetcher._get_actions_per_node, "1dab2cf937d1"),
        (fetcher.Fetcher._update_fetch_positions, "d7774d8241dc"),
        (GroupCoordinator._on_join_complete, "0b0b3d204b40"),
        (GroupCoordinator.check_errors, "ba6ca51ad348"),
        (aiokafka.AIOKafkaConsumer.getmany, "bc6d248e42a4"),
        (GroupCoordinator.ensure_active_group, "33c84c1a9301"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_replaced_and_relied_upon_code_is_unchanged(part: Any, expected: str) -> None:
    """Unpacking is replaced; the rest decides what is held, committed or broken."""
    assert fingerprint(part) == expected


def test_a_fetch_is_unpacked_by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What aiokafka's own fetcher makes of an answer of Kafka's, once its module's two names are ours."""
    for name in ("PartitionRecords", "MemoryRecords"):
        monkeypatch.setattr(fetcher, name, getattr(fetcher, name))
    passed: list[str] = []
    install(PLAIN, UNPACK_BYTES, passed.append)
    data = record_batch(5, [b"a", b"b"]) + record_batch(7, [b"no"], producer=9, transactional=True)

    async def fetched() -> tuple[Any, int]:
        subscriptions = SubscriptionState()
        subscriptions.subscribe({TP.topic})
        subscriptions.assign_from_subscribed([TP])
        subscriptions.seek(TP, 6)
        assert subscriptions.subscription is not None
        assignment = subscriptions.subscription.assignment
        partition = (TP.partition, 0, 8, 8, 0, [(9, 7)], -1, data)
        answer = SimpleNamespace(API_VERSION=11, topics=[(TP.topic, [partition])])

        async def send(*_: object) -> Any:
            return answer

        me = SimpleNamespace(
            _client=SimpleNamespace(send=send), _client_rack="", _records={}, _prefetch_backoff=1,
            _key_deserializer=None, _value_deserializer=None, _check_crcs=True, _isolation_level=1,
        )  # fmt: skip
        asked = SimpleNamespace(topics=[(TP.topic, [(TP.partition, 6, 1)])])
        assert await fetcher.Fetcher._proc_fetch_request(me, assignment, 1, asked)
        return me._records[TP].getall(), assignment.state_value(TP).position

    polled, position = asyncio.run(fetched())
    assert [(f.start, f.batch.next_offset) for f in polled] == [(6, 7), (7, 8)]
    assert messages(polled, 6) == [(6, b"b")]
    assert (position, passed) == (8, ["consume.fetch"])


def test_the_client_never_chooses_a_position_and_hides_aborted_transactions() -> None:
    """A reset would skip or repeat events silently."""

    async def settings() -> tuple[object, ...]:
        consumer = client(WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1")))
        consumer._closed = True
        return (
            consumer._auto_offset_reset, consumer._isolation_level, consumer._enable_auto_commit,
            consumer._check_crcs,
        )  # fmt: skip

    assert asyncio.run(settings()) == ("none", "read_committed", False, True)


def test_an_answer_is_read_without_a_halt(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio halts where twice the limit waits; aiokafka takes the limit from its module."""
    monkeypatch.setattr(conn, "READER_LIMIT", conn.READER_LIMIT)

    async def limit() -> int:
        config = WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1"))
        client(config)._closed = True
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            await writer.wait_closed()
            ended.set()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        connection = conn.AIOKafkaConnection(*listening.sockets[0].getsockname(), request_timeout_ms=1000)
        connection._do_version_lookup = lambda: asyncio.sleep(0)
        await connection.connect()
        found: int = connection._reader._limit
        await connection.close()
        await ended.wait()
        listening.close()
        return found

    assert asyncio.run(limit()) == WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1")).fetch_most_bytes


def test_a_partition_held_with_a_position_is_neither_fetched_nor_reset() -> None:
    """What the listener relies on: seek and pause before the fetcher looks."""

    async def actions() -> tuple[Any, ...]:
        subscriptions = SubscriptionState()
        subscriptions.subscribe({TP.topic})
        subscriptions.assign_from_subscribed([TP])
        subscriptions.seek(TP, 0)
        subscriptions.pause(TP)
        me = SimpleNamespace(
            _records={}, _in_flight=set(), _select_read_replica=lambda _: 1, _fetcher_timeout=0.2,
        )  # fmt: skip
        assert subscriptions.subscription is not None
        assignment = subscriptions.subscription.assignment
        return fetcher.Fetcher._get_actions_per_node(me, assignment)

    fetches, resets, _, invalid_metadata, resumes = asyncio.run(actions())
    assert (fetches, dict(resets), invalid_metadata, len(resumes)) == ([], {}, False, 1)
