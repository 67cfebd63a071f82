"""How strays are sent: what Kafka refuses is told with what to do, Kafka that is away is waited for."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from infra.stack.kafka import broker
from infra.stack.stack import Stack as LocalStack
from streams.core.values import StrayMessage
from streams.kafka_access import KafkaAccess
from streams.worker.client.strays import CLOSE_S, StraySender
from streams.worker.config import WorkerConfig
from streams.worker.errors import EXIT_HELP, StraysRefused
from tests.support.events import camera_event, message
from tests.support.kafka import admin
from tests.support.oracle import totals
from tests.support.strays import by_confluent
from tests.support.workers import River, Stack, river

# as long as a topic has no rights of its own, everybody may do everything
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
HOME = [StrayMessage(home, b"[]", 1) for home in (0, 1, 2, 0)]


async def nothing() -> None:
    """What there is to be said before a send."""


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[River]:
    """A topic, and no worker."""
    with river(stack, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of these tests alone, whose broker obeys rights and may be frozen."""
    usual = broker.properties

    def strict(data: Path, port: int, controller_port: int) -> dict[str, object]:
        return usual(data, port, controller_port) | AUTHORIZER

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker, "properties", strict)
        with LocalStack(tmp_path_factory.mktemp("strict")) as started:
            yield started


def with_sender(brokers: str, body: Callable[[StraySender], Awaitable[Any]]) -> Any:
    """What the body returns, for a sender that knows this Kafka."""

    async def run() -> Any:
        kafka = KafkaAccess.at(brokers, request_ms=2_000)
        sender = StraySender(WorkerConfig(kafka=kafka, recheck_ms=100))
        try:
            return await body(sender)
        finally:
            await sender.close()

    return asyncio.run(run())


def test_each_message_is_in_its_home_when_the_send_returns(stream: River) -> None:
    """By one producer, kept for the next time."""

    async def body(sender: StraySender) -> None:
        await sender.send(stream.name, HOME, nothing)
        await sender.send(stream.name, HOME[:2], nothing)

    with_sender(stream.stack.brokers, body)
    assert stream.ends() == {0: 3, 1: 2, 2: 1}


def test_a_home_that_is_not_there_is_told(stream: River) -> None:
    """Kafka is asked again first: a broker may not know all partitions yet. Nothing is sent."""
    strays = [*HOME, StrayMessage(7, b"[]", 1)]
    with pytest.raises(StraysRefused, match=rf"{stream.name}: partition 7 .* there are 3: .*--rehome"):
        with_sender(stream.stack.brokers, lambda sender: sender.send(stream.name, strays, nothing))
    assert sum(stream.ends().values()) == 0


def test_nobody_at_that_address_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """It says so again and again; a stop that gives up waits for nothing."""

    async def body(sender: StraySender) -> tuple[bool, bool]:
        send = asyncio.ensure_future(sender.send("camera.events", HOME, nothing))
        while caplog.text.count("Kafka is away (strays of camera.events)") < 2:
            await asyncio.sleep(0.02)
        busy = sender.holds_up(time.monotonic())
        send.cancel()
        await asyncio.wait([send])
        return busy, sender.holds_up(time.monotonic())

    assert with_sender("127.0.0.1:1", body) == (True, False)


def test_kafka_that_hangs_is_waited_for_and_a_farewell_is_not(own: LocalStack, tmp_path: Path) -> None:
    """Frozen in the middle, for longer than an answer may take: what it has not confirmed comes again."""
    pid = own.pid("broker")
    assert pid is not None

    async def body(sender: StraySender) -> float:
        await sender.send(to.name, HOME, nothing)
        try:
            os.kill(pid, signal.SIGSTOP)
            send = asyncio.ensure_future(sender.send(to.name, HOME, nothing))
            done, _ = await asyncio.wait([send], timeout=3)
            assert not done
        finally:
            os.kill(pid, signal.SIGCONT)
        await asyncio.wait_for(send, 60)
        try:
            os.kill(pid, signal.SIGSTOP)
            send = asyncio.ensure_future(sender.send(to.name, HOME, nothing))
            await asyncio.wait([send], timeout=0.2)
            send.cancel()
            began = time.monotonic()
            await sender.close()
            return time.monotonic() - began
        finally:
            os.kill(pid, signal.SIGCONT)

    with river(own, tmp_path) as to:
        assert with_sender(own.brokers, body) < CLOSE_S + 1
        assert sum(to.ends().values()) >= 8


def test_a_worker_that_may_not_write_says_what_to_allow(own: LocalStack, tmp_path: Path) -> None:
    """With the very command; once it may, it goes on where it stopped, and nothing is lost."""
    events = [camera_event(f"e{i}", i, camera_id=f"cam-{i % 40}") for i in range(300)]
    with river(own, tmp_path) as to:
        by_confluent(own.brokers, to.name, [(None, message(e)) for e in events])
        allow(own.brokers, to.name, ACLOperation.READ, ACLOperation.DESCRIBE)
        worker = to.start()
        assert worker.wait_exit() == EXIT_HELP
        said = worker.status()["message"]
        command = f"kafka-acls.sh --bootstrap-server {own.brokers} --add --allow-principal User:NAME "
        for words in (command, f"--operation Write --topic {to.name}", "SONGLO_STRAYS=count songlo topics"):
            assert words in said, said
        allow(own.brokers, to.name, ACLOperation.WRITE)
        to.start()
        to.drain()
        assert to.totals() == totals(message(e) for e in events)


def allow(brokers: str, topic: str, *operations: ACLOperation) -> None:
    """Let everybody do this with a topic, and no more than was ever allowed."""
    of = ResourcePattern(ResourceType.TOPIC, topic)
    with admin(brokers) as client:
        client.create_acls(
            [ACL("User:ANONYMOUS", "*", operation, ACLPermissionType.ALLOW, of) for operation in operations]
        )
