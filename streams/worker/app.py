"""The worker: one Faust app with an agent for each stream, and the function that runs it."""

import asyncio
import faulthandler
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from yarl import URL

from streams.engine import EngineError
from streams.sink import Sink
from streams.spec import StreamSpec
from streams.worker.client.consumer import QUIET, Transport
from streams.worker.client.passthrough import PollScheduler, PollSchema
from streams.worker.config import WorkerConfig
from streams.worker.errors import EXIT_FAILED, EXIT_HELP, EXIT_OK, EXIT_STALLED
from streams.worker.failpoints import failpoints
from streams.worker.lifecycle import live
from streams.worker.process.allocator import keep_memory
from streams.worker.process.deadline import Deadline
from streams.worker.process.logs import set_up_logging
from streams.worker.recover.recovery import recover_assigned
from streams.worker.runtime import Runtime

log = logging.getLogger(__name__)

# longer than a worker lives
NEVER_S = 365 * 24 * 3600.0

__all__ = ["EXIT_FAILED", "EXIT_HELP", "EXIT_OK", "EXIT_STALLED", "SongloApp", "build_app", "run_worker"]


def run_worker(config: WorkerConfig, specs: Sequence[StreamSpec], sink: Sink) -> int:
    """Fold the streams until SIGTERM, Ctrl-C or a failure; returns the exit code (see `EXIT_*`).

    Must run in the main thread. A second signal, or a stop that takes longer than `config.stop_ms`, ends
    the process at once; what was not flushed is replayed by the next start.
    """
    set_up_logging(config.log_level)
    # should compiled code crash, its log has the stacks
    faulthandler.enable()
    keep_memory()
    failpoint = failpoints(config.failpoints)
    deadline = Deadline(config.stop_ms / 1000)

    async def run() -> int:
        runtime = Runtime(config, specs, sink, failpoint)
        return await live(runtime, lambda: build_app(runtime, specs), deadline)

    try:
        return asyncio.run(run())
    except EngineError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        return EXIT_HELP
    finally:
        deadline.cancel()


class NoProducer(BootStrategy):  # type: ignore[misc] # Faust has no types here
    """What a worker sends to Kafka are strays, by a producer of its own."""

    enable_kafka_producer = False
    enable_web = False


class OwnSettings(faust.Settings):  # type: ignore[misc] # Faust has no types here
    """Faust lets STREAM_WAIT_EMPTY, BROKER_URL and the like in the environment win over what is set here."""

    def getenv(self, env_name: str) -> None:
        """No setting comes from the environment."""


class NoTables(TableManager):  # type: ignore[misc] # Faust has no types here
    """Windows are not Faust's: its start waits a second for tables to be declared."""

    logger = QUIET

    async def on_start(self) -> None:
        """What takes partitions on after a rebalance."""
        await self.recovery.start()

    async def wait_until_tables_registered(self) -> None:
        """None will be."""


class SongloApp(faust.App):  # type: ignore[misc] # Faust has no types here
    """A Faust app that keeps nothing on disk."""

    BootStrategy = NoProducer
    Settings = OwnSettings
    logger = QUIET

    async def on_first_start(self) -> None:
        """Faust would create directories for its tables."""


def build_app(runtime: Runtime, specs: Sequence[StreamSpec]) -> SongloApp:
    """The app with its transport, one agent for each stream, and what happens at a rebalance.

    Call it in the loop that is to run it.
    """
    config = runtime.config
    url = [URL(f"kafka://{address}") for address in config.kafka.addresses]
    app = SongloApp(
        config.group,
        broker=url,
        store="memory://",
        version=1,
        id_format="{id}",
        ConsumerScheduler=PollScheduler,
        TableManager=NoTables,
        # both count polls of a partition, not messages
        stream_buffer_maxsize=4,
        broker_max_poll_records=config.poll_batches,
        # Faust has nothing to commit here; and its look for standstills, at the same times, compares a
        # monotonic clock with the time of day
        broker_commit_interval=NEVER_S,
        # waiting for empty streams can block a rebalance for good
        stream_wait_empty=False,
        # the process is restarted and replays; an agent that goes on would have skipped what raised
        agent_supervisor="mode.CrashingSupervisor",
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        autodiscover=False,
    )
    app.transport = transport = Transport(url, app)
    transport.delivery = runtime
    for spec in specs:
        topic = app.topic(spec.topic, schema=PollSchema(), acks=False, internal=False)
        app.agent(topic, name=f"fold-{spec.name}")(_agent(runtime))
    _connect(app, runtime)
    return app


def _agent(runtime: Runtime) -> Callable[[Any], Coroutine[Any, Any, None]]:
    async def fold(stream: Any) -> None:
        async for poll in stream:
            await runtime.deliver(stream.current_event.message.tp, poll)

    return fold


def _connect(app: SongloApp, runtime: Runtime) -> None:
    async def on_revoked(*_: object, **__: object) -> None:
        # nothing to do: what these partitions still have to flush may be written by whoever does
        runtime.rebalance_since = time.monotonic()
        runtime.failpoint("rebalance.revoked")

    async def on_complete(*_: object, **__: object) -> None:
        generation = app.consumer_generation_id
        await recover_assigned(runtime, app.consumer, lambda: app.consumer_generation_id != generation)

    app.on_partitions_revoked.connect(on_revoked)
    app.on_rebalance_complete.connect(on_complete)
