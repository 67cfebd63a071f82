"""`songlo down`."""

import os
import signal

import click

from infra.cli.common import CommandError, pass_settings
from infra.settings.values import Settings
from infra.stack.process.state import end, gone, lives, processes, read_state, remove_state


@click.command()
@click.option("--timeout", default=90.0, show_default=True, help="Seconds after which it is killed.")
@pass_settings
def command(settings: Settings, timeout: float) -> None:
    """Stop what `up` started in SONGLO_HOME, and wait until it is gone. Data are kept."""
    state = read_state(settings.home)
    supervisor = state.get("supervisor")
    if supervisor and lives(supervisor):
        os.kill(supervisor["pid"], signal.SIGTERM)
        if not gone([supervisor], timeout):
            os.kill(supervisor["pid"], signal.SIGKILL)
        said = "stopped"
    else:
        said = (
            "nothing was running" if not any(map(lives, processes(state))) else "stopped what was left over"
        )
    # they die with the supervisor; who does not, is killed
    rest = processes(read_state(settings.home) or state)
    if not end(rest):
        left = ", ".join(str(p["pid"]) for p in filter(lives, rest))
        raise CommandError(f"processes that can't be killed: {left}")
    if not lives(read_state(settings.home).get("supervisor")):
        remove_state(settings.home)
    click.echo(f"{said} in {settings.home}", err=True)
