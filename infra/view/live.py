"""Shows snapshots until it is told to stop: a picture on a terminal, else a line now and then."""

import time
from collections.abc import Iterator
from threading import Event

from rich.console import Console
from rich.live import Live

from infra.settings.values import Settings
from infra.view.fetch import Source
from infra.view.render import WIDTH, line, render
from infra.view.snapshot import Snapshot
from streams.registry import load_streams

_PICTURE_S = 2.0
_LINE_S = 5.0
_EASE = 4


def run_live(settings: Settings, stopped: Event, console: Console | None = None) -> None:
    """Show the city until `stopped` is set or Ctrl-C is pressed (KeyboardInterrupt is let through)."""
    out = console or Console()
    with Source(settings, tuple(load_streams().values())) as source:
        if out.is_terminal:
            _draw(out, source, stopped)
        else:
            for snapshot in _snapshots(source, stopped, _LINE_S):
                out.print(line(snapshot), soft_wrap=True, markup=False, highlight=False)


def _draw(out: Console, source: Source, stopped: Event) -> None:
    out.width = min(out.width, WIDTH)
    with Live(console=out, screen=True, auto_refresh=False) as live:
        for snapshot in _snapshots(source, stopped, _PICTURE_S):
            live.update(render(snapshot), refresh=True)


def _snapshots(source: Source, stopped: Event, every_s: float) -> Iterator[Snapshot]:
    before: Snapshot | None = None
    while not stopped.is_set():
        began = time.monotonic()
        snapshot = source.fetch(time.time_ns() // 1_000_000, before)
        took_s = time.monotonic() - began
        yield snapshot
        before = snapshot if snapshot.streams else before
        # on a busy machine the view must not take what the workers need
        stopped.wait(max(every_s, _EASE * took_s))
