"""What delivery takes for granted of aiokafka; fails when the library changes under it."""

import asyncio
import hashlib
import inspect
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.structs import TopicPartition

from streams.worker.client.connect import client
from streams.worker.client.unpack import BatchRecords, install
from streams.worker.config import WorkerConfig

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
        (GroupCoordinator.ensure_active_group, "33c84c1a9301"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_replaced_and_relied_upon_code_is_unchanged(part: Any, expected: str) -> None:
    """Unpacking is replaced; the rest decides what is held, committed or broken."""
    assert fingerprint(part) == expected


def test_a_fetcher_unpacks_by_batches_after_install_and_others_do_not() -> None:
    """The copy of the method sees our class by the same global name; the module's own stays."""
    target = SimpleNamespace()
    install(target)
    names = target._proc_fetch_request.__func__.__globals__
    assert issubclass(names["PartitionRecords"], BatchRecords)
    assert fetcher.Fetcher._proc_fetch_request.__globals__["PartitionRecords"] is fetcher.PartitionRecords
    assert inspect.iscoroutinefunction(target._proc_fetch_request)


def test_the_client_never_chooses_a_position_and_hides_aborted_transactions() -> None:
    """A reset would skip or repeat events silently."""

    async def settings() -> tuple[object, ...]:
        consumer = client(WorkerConfig(brokers=("127.0.0.1:1",)))
        consumer._closed = True
        return consumer._auto_offset_reset, consumer._isolation_level, consumer._enable_auto_commit

    assert asyncio.run(settings()) == ("none", "read_committed", False)


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
