"""`songlo worker`."""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from infra.cli.common import pass_settings
from infra.operate.reads import native_server
from infra.settings.addresses import kafka_access
from infra.settings.rules import rules_of
from infra.settings.values import Settings
from sinks.clickhouse import ClickHouseAccess, Session
from sinks.schema import check_schema
from sinks.store import ClickHouseSink
from streams.registry import load_streams
from streams.sink import SinkUnavailable
from streams.spec import StreamSpec
from streams.worker.app import run_worker
from streams.worker.config import WorkerConfig

PAUSE_S = 2.0


@click.command()
@click.option(
    "--status",
    "status_path",
    type=click.Path(path_type=Path),
    help="File to tell the worker's state in, as JSON.",
)
@click.option(
    "--accept-gap", is_flag=True, help="Go on where Kafka no longer has what a partition would read again."
)
@pass_settings
def command(settings: Settings, status_path: Path | None, accept_gap: bool) -> int:
    """Run one worker: fold all streams into windows, until SIGTERM or Ctrl-C.

    Start as many as there are cores; they share the partitions. Topics and tables must be there
    (`songlo topics`, `songlo migrate`). Exit status: 0 stopped as asked, 1 failed (start it again),
    3 stopped until somebody has acted: the message says what to do, 4 stood still (start it again).
    """
    specs = list(load_streams().values())
    server = native_server(settings)
    _wait_for_tables(server, specs)
    config = WorkerConfig(
        kafka=kafka_access(settings, "songlo-worker"),
        group=settings.group,
        rules=rules_of(settings),
        epoch=settings.epoch,
        flush_ms=settings.flush_ms,
        flush_most_ms=settings.flush_most_ms,
        pending_bytes=settings.pending_mb << 20,
        open_bytes=settings.open_mb << 20,
        unpack_bytes=settings.unpack_mb << 20,
        session_ms=settings.session_ms,
        heartbeat_ms=min(1000, settings.session_ms // 5),
        metadata_ms=settings.metadata_ms,
        accept_gap=accept_gap,
        strays=settings.strays,
        breaker_percent=settings.breaker_percent,
        breaker_events=settings.breaker_events,
        stall_ms=settings.stall_seconds * 1000,
        recheck_ms=settings.recheck_seconds * 1000,
        status_path=status_path,
        log_level=settings.log_level,
        failpoints=settings.failpoints,
        fold=settings.fold,
        library_folder=settings.library_folder,
    )
    return run_worker(config, specs, ClickHouseSink(server))


def _wait_for_tables(server: ClickHouseAccess, specs: Sequence[StreamSpec]) -> None:
    """Return when ClickHouse is there and has what the streams need; raises SinkRejected when it lacks it."""
    session = Session(server)
    while True:
        try:
            check_schema(session, specs)
        except SinkUnavailable as e:
            click.echo(f"songlo: {e}; trying again", err=True)
            time.sleep(PAUSE_S)
        else:
            session.close()
            return
