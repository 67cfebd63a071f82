"""`songlo view`."""

from threading import Event

import click

from infra.cli.common import pass_settings
from infra.settings import Settings
from infra.view.live import run_live


@click.command()
@pass_settings
def command(settings: Settings) -> None:
    """Watch events become windows, live; Ctrl-C ends it and stops nothing.

    On a terminal a picture of 80 columns by 24 lines; in a pipe a line every five seconds.
    """
    try:
        run_live(settings, Event())
    except KeyboardInterrupt:
        return
