"""What delivery takes for granted of Faust; fails when the library changes under it."""

import asyncio
import hashlib
import inspect
from collections.abc import Sequence
from typing import Any

import faust
import pytest
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from sinks.memory import MemorySink
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.app import NEVER_S, SongloApp, build_app
from streams.worker.client.consumer import Consumer, Listener, Thread, Transport
from streams.worker.client.passthrough import Poll, PollScheduler
from streams.worker.config import WorkerConfig
from streams.worker.failpoints import pass_by
from streams.worker.runtime import Runtime
from streams.worker.values import Fetched
from tests.support.events import packed


def fingerprint(part: Any) -> str:
    """A short hash of a function's source."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:12]


def test_the_version_is_the_one_that_was_read() -> None:
    """Everything below was read in this version; read it again before changing the number."""
    assert faust.__version__ == "0.15.3"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (base.Consumer.perform_seek, "0e8c130ff4b0"),
        (base.Consumer.getmany, "4b168d84882a"),
        (base.Consumer._wait_next_records, "6218e1969a63"),
        (base.Consumer._drain_messages, "44a2500309e8"),
        (base.Consumer._commit_handler.fun, "4e5da5df0730"),
        (base.Consumer._commit_livelock_detector.fun, "af196ff46fd4"),
        (driver.AIOKafkaConsumerThread.on_start, "38b4e8bd1e10"),
        (driver.AIOKafkaConsumerThread._create_worker_consumer, "c2701bfc3e6f"),
        (base.ThreadDelegateConsumer._getmany, "f9d47aa9010b"),
        (driver.AIOKafkaConsumerThread.getmany, "26fc5fc9f3b6"),
        (driver.AIOKafkaConsumerThread._fetch_records, "39a2c6c79fc1"),
        (
            driver.ConsumerRebalanceListener.on_partitions_revoked,
            "348c3aec879f",
        ),
        (driver.ConsumerRebalanceListener.on_partitions_assigned, "1c1f8406ad36"),
        (driver.Consumer._to_message, "7c24f6511b2f"),
        (TableManager.on_start, "365dd25fbc0e"),
        (TableManager.wait_until_tables_registered, "e9bed5b158ee"),
        (TableManager.on_rebalance, "2d2c23a07bf5"),
        (TableManager._update_channels, "88e3941facc9"),
        (Recovery._resume_streams, "d986a6710c1a"),
        (App.on_stop, "bfe5a933defb"),
        (App._stop_consumer, "55854a5de12c"),
        (App._on_partitions_revoked, "d5c895bbe57d"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_replaced_and_relied_upon_code_is_unchanged(part: Any, expected: str) -> None:
    """Some is overridden; of the rest, the order of steps is what exactness hangs on."""
    assert fingerprint(part) == expected


def in_app(look: Any) -> Any:
    """What `look(app, runtime)` returns, in a loop, for an app of all streams."""

    async def run() -> Any:
        specs: Sequence[Any] = list(load_streams().values())
        runtime = Runtime(WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1")), specs, MemorySink(), pass_by)
        return look(build_app(runtime, specs), runtime)

    return asyncio.run(run())


def test_faust_builds_our_consumer_listener_and_thread() -> None:
    """Through `app.transport`, `Transport.Consumer`, `RebalanceListener` and `_new_consumer_thread`."""

    def look(app: SongloApp, runtime: Runtime) -> tuple[Any, ...]:
        consumer = app.consumer
        consumer._thread.thread_loop.close()
        return type(app.transport), type(consumer), type(consumer._thread), consumer.RebalanceListener

    assert in_app(look) == (Transport, Consumer, Thread, Listener)


def test_settings_that_exactness_hangs_on_arrive() -> None:
    """Faust also reads settings from the environment; what is set here must win."""

    def look(app: SongloApp, runtime: Runtime) -> tuple[Any, ...]:
        c = app.conf
        return (
            c.stream_wait_empty, c.topic_disable_leader, c.topic_allow_declare, c.web_enabled,
            c.agent_supervisor.__name__, c.ConsumerScheduler, c.stream_buffer_maxsize, c.id,
            app.consumer.commit_interval,
        )  # fmt: skip

    expected = (False, True, False, False, "CrashingSupervisor", PollScheduler, 4, "songlo", NEVER_S)
    assert in_app(look) == expected


def test_the_environment_does_not_change_those_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A STREAM_WAIT_EMPTY of some other program must not reach a worker."""
    monkeypatch.setenv("STREAM_WAIT_EMPTY", "true")
    monkeypatch.setenv("BROKER_URL", "kafka://elsewhere:9092")
    assert in_app(lambda app, _: app.conf.stream_wait_empty) is False
    assert [u.host for u in in_app(lambda app, _: app.conf.broker)] == ["127.0.0.1"]


def test_every_stream_has_an_agent_without_acknowledgements() -> None:
    """Acknowledgements could commit past what was not flushed."""

    def look(app: SongloApp, runtime: Runtime) -> dict[str, bool]:
        return {topic: agent.channel.acks for agent in app.agents.values() for topic in agent.channel.topics}

    assert in_app(look) == {spec.topic: False for spec in load_streams().values()}


def test_a_poll_has_what_faust_copies_into_its_message() -> None:
    """Consumer._to_message reads these attributes of a record."""
    poll = Poll(TP("camera.events", 2), [Fetched(5, packed(5, 9, 0, [b"{}"]))])
    names = (
        "topic partition offset timestamp timestamp_type headers key value checksum serialized_key_size "
        "serialized_value_size"
    )
    assert all(hasattr(poll, name) for name in names.split())
    assert (poll.topic, poll.partition, poll.offset) == ("camera.events", 2, 8)


def test_a_poll_reaches_the_agent_as_it_is() -> None:
    """Through the scheduler, Faust's message, the schema and the event."""
    fetched = [Fetched(0, packed(0, 2, 0, [b"not json", None]))]

    async def decoded(app: SongloApp) -> Any:
        tp = TP("camera.events", 0)
        [(_, poll)] = PollScheduler().iterate({tp: fetched})
        message = app.consumer._to_message(tp, poll)
        app.consumer._thread.thread_loop.close()
        [agent] = [a for a in app.agents.values() if "camera.events" in a.channel.topics]
        event = await agent.channel.decode(message, propagate=True)
        return event.value

    async def run() -> Any:
        specs = list(load_streams().values())
        runtime = Runtime(WorkerConfig(kafka=KafkaAccess.at("127.0.0.1:1")), specs, MemorySink(), pass_by)
        return await decoded(build_app(runtime, specs))

    assert asyncio.run(run()) is fetched


def test_an_empty_poll_is_no_item() -> None:
    """Faust would ask it for an offset."""
    assert list(PollScheduler().iterate({TP("camera.events", 0): []})) == []
