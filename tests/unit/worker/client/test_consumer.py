"""What the consumer does around a rebalance, and how it hears of refusals, without a broker."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from streams.kafka_access import KafkaAccess
from streams.worker.client.connect import client
from streams.worker.client.consumer import Consumer, Listener
from streams.worker.config import WorkerConfig

TP = aiokafka.TopicPartition("camera.events", 0)


def faust_thread(told: list[str], error: Exception | None = None) -> Any:
    """What Faust's listener asks of its thread; `error` is raised where the rest of Faust hears of it."""

    async def revoked(_: object) -> None:
        told.append("revoked")

    async def assigned(*_: object) -> None:
        told.append("assigned")
        if error:
            raise error

    coordinator = SimpleNamespace(generation=7)
    return SimpleNamespace(
        joins=False,
        app=SimpleNamespace(on_rebalance_start=lambda: None),
        client=SimpleNamespace(seek=lambda *_: told.append("seek"), pause=lambda *_: told.append("pause")),
        on_partitions_revoked=revoked,
        on_partitions_assigned=assigned,
        _ensure_consumer=lambda: SimpleNamespace(_coordinator=coordinator),
    )


def test_a_rebalance_is_known_from_before_its_revocation_to_behind_its_assignment() -> None:
    """aiokafka may ask to join as soon as it has been told of the revocation."""
    told: list[str] = []
    thread = faust_thread(told)

    async def rebalanced() -> list[bool]:
        listener = Listener(thread)
        revocation = listener.on_partitions_revoked({TP})
        seen = [thread.joins]
        await revocation
        seen.append(thread.joins)
        await listener.on_partitions_assigned({TP})
        return [*seen, thread.joins]

    assert asyncio.run(rebalanced()) == [True, True, False]
    assert told == ["revoked", "seek", "pause", "assigned"]


def test_a_rebalance_has_ended_though_faust_failed_at_it() -> None:
    """aiokafka logs what a listener raises, and goes on as a member."""
    thread = faust_thread([], ValueError("of Faust"))
    listener = Listener(thread)
    listener.on_partitions_revoked({TP}).close()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="of Faust"):
        asyncio.run(listener.on_partitions_assigned({TP}))
    assert thread.joins is False


def test_nothing_is_committed_within_a_rebalance() -> None:
    """Not even asked: aiokafka would join once more."""
    me = SimpleNamespace(thread=SimpleNamespace(joins=True, client=None))
    assert asyncio.run(Consumer._commit_own(me, {("camera.events", 0): 5}, 1)) is False


@pytest.mark.parametrize("refusal", [None, GroupAuthorizationFailedError("songlo")])
def test_a_refusal_of_the_group_is_raised_and_nothing_is_waited_for(refusal: KafkaError | None) -> None:
    """Without an assignment, as within a rebalance, where a fetch would wait for one."""

    async def checked() -> None:
        consumer = client(WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1")))
        consumer.subscribe([TP.topic])
        asked: list[str] = []

        def check_errors() -> None:
            asked.append("errors")
            if refusal:
                raise refusal

        async def fetched_records(*_: object, **__: object) -> None:
            asked.append("records")
            await asyncio.get_running_loop().create_future()

        consumer._coordinator = SimpleNamespace(check_errors=check_errors)
        consumer._fetcher = SimpleNamespace(fetched_records=fetched_records)
        me = SimpleNamespace(thread=SimpleNamespace(client=consumer))
        try:
            await asyncio.wait_for(Consumer._check(me), 5)
            assert asked == ["errors", "records"]
        finally:
            consumer._closed = True

    if refusal is None:
        asyncio.run(checked())
        return
    with pytest.raises(GroupAuthorizationFailedError):
        asyncio.run(checked())
