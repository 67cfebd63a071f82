"""`songlo up`."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from infra.cli.common import CommandError, pass_settings
from infra.settings.environment import load_settings
from infra.settings.values import Settings, variable
from infra.setup.progress import SetupError, SetupProgress
from infra.stack.parts import require_parts
from infra.stack.process.ports import PortError
from infra.stack.process.service import ROOT, ChildError, last_lines, rotate
from infra.stack.process.state import lives, read_state
from infra.stack.stack import AlreadyRunningError, Ports, Stack
from infra.stack.supervisor import Supervisor

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 0.05


@click.command()
@click.option("--detach", is_flag=True, help="Return when the workers are ready, and leave all running.")
@click.option("--demo/--no-demo", default=True, help="Feed real junction data, then a simulated city.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes. [default: SONGLO_WORKERS]")
@click.option("--supervise", is_flag=True, hidden=True, help="What --detach leaves running.")
@pass_settings
def command(settings: Settings, detach: bool, demo: bool, workers: int | None, supervise: bool) -> None:
    """Start Kafka, ClickHouse and the workers on this machine.

    What is missing is fetched first. Without --detach a live view is shown, and Ctrl-C stops all.
    Data are kept in SONGLO_HOME.
    """
    for name in ("brokers", "clickhouse", "clickhouse_http"):
        if getattr(settings, name):
            raise CommandError(f"{variable(name)} is set, but `up` runs its own: unset it, or use `worker`")
    count = workers or settings.workers
    if detach:
        _detach(settings, count, demo)
    else:
        _run(settings, count, demo, supervise)


def _run(settings: Settings, workers: int, demo: bool, supervise: bool) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=settings.log_level)
    stack = Stack(
        settings.home,
        cache=settings.cache,
        ports=Ports(settings.broker_port, settings.clickhouse_port, settings.clickhouse_http_port),
    )
    supervisor = Supervisor(stack, workers=workers, make_tables=_tables, make_topics=_topics, say=_say)
    with _interruptible():
        try:
            supervisor.start()
            local = load_settings({**os.environ, **supervisor.environ})
            if demo:
                supervisor.run_demo()
            if supervise:
                signal.pause()
            else:
                _watch(local)
        except (SetupError, ChildError, AlreadyRunningError, PortError) as e:
            raise CommandError(str(e)) from e
        except _Stopped:
            _say("stopping …")
        finally:
            _ignore_stops()
            supervisor.stop()


def _watch(settings: Settings) -> None:
    from infra.view.live import run_live  # noqa: PLC0415  # the view is not needed to start

    logging.getLogger().setLevel(logging.ERROR)  # warnings of restarts would break the picture
    run_live(settings, threading.Event())


def _tables(environ: Mapping[str, str]) -> None:
    from infra.operate.reads import native_server  # noqa: PLC0415  # while the broker starts
    from sinks.migrate import migrate  # noqa: PLC0415
    from streams.registry import load_streams  # noqa: PLC0415

    migrate(native_server(load_settings({**os.environ, **environ})), load_streams().values())


def _topics(environ: Mapping[str, str]) -> None:
    from infra.kafka.admin import Admin  # noqa: PLC0415  # while the broker starts
    from infra.kafka.topics import apply, plan  # noqa: PLC0415
    from infra.operate.homes.start import rehome_homeless  # noqa: PLC0415
    from infra.settings.addresses import kafka_access  # noqa: PLC0415
    from streams.registry import load_streams  # noqa: PLC0415

    settings, specs = load_settings({**os.environ, **environ}), load_streams().values()
    with Admin(kafka_access(settings)) as admin:
        apply(admin, plan(specs, admin.topics([s.topic for s in specs]), settings), settings.replication)
    # no worker goes on from what a version without homes has stored; none runs yet
    for told in rehome_homeless(settings):
        _say(told)


def _detach(settings: Settings, workers: int, demo: bool) -> None:
    state = read_state(settings.home)
    if lives(state.get("supervisor")):
        _say(f"running in {settings.home} already: see `songlo status`")
        return
    require_parts(settings.cache, SetupProgress())  # here, where a terminal may show it
    output = settings.home / "log" / "up.log"
    rotate(output)
    options = ["--supervise", "--workers", str(workers), "--demo" if demo else "--no-demo"]
    with output.open("ab") as out:
        began = out.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=ROOT,
            env={**os.environ, variable("home"): str(settings.home), variable("cache"): str(settings.cache)},
            start_new_session=True,
        )
    shown = began
    try:
        while child.poll() is None:
            shown = _show(output, shown)
            state = read_state(settings.home)
            if state.get("supervisor", {}).get("pid") == child.pid and state.get("state") == "running":
                _show(output, shown)
                return
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    raise CommandError(f"`up` failed{last_lines(output)}")


class _Stopped(BaseException):
    """Ctrl-C, SIGTERM, or the terminal went away."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """The first signal to stop interrupts what runs; those after it wait for the stopping."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # signal's own signature
        _ignore_stops()
        raise _Stopped

    former = {number: signal.signal(number, interrupt) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _ignore_stops() -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show(output: Path, begin: int) -> int:
    """Pass on what a log has from `begin`; returns where it ends now."""
    with output.open("rb") as file:
        file.seek(begin)
        text = file.read()
    click.echo(text.decode(errors="replace"), err=True, nl=False)
    return begin + len(text)
