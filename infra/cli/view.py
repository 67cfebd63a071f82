"""`songlo view`."""

from pathlib import Path
from threading import Event

import click

from infra.cli.common import pass_settings
from infra.settings.values import Settings
from infra.view.live import run_live
from infra.view.picture import save_picture


@click.command()
@click.option("--svg", type=click.Path(path_type=Path), help="Write what it shows now to a file, and end.")
@pass_settings
def command(settings: Settings, svg: Path | None) -> None:
    """Watch events become windows, live; Ctrl-C ends it and stops nothing.

    On a terminal a picture of 80 columns by 24 lines; in a pipe a line every five seconds.
    """
    if svg is not None:
        save_picture(settings, svg)
        return
    try:
        run_live(settings, Event())
    except KeyboardInterrupt:
        return
