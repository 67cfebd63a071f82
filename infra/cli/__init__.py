"""The command line. A command is the module `infra.cli.<name>` with a click command called `command`.

A nested command is a folder. What measures and breaks stands with the tests, and is there in a clone only.
Modules are imported only when their command runs: `songlo --help` must answer at once.
"""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import click

from infra.cli.common import run

VERSION = "0.1.0"
SECTIONS = {
    "Run": {
        "up": "Start Kafka, ClickHouse and the workers here, with a demo.",
        "down": "Stop what `up` started.",
        "status": "What is running here, and where.",
        "worker": "Run one worker against any Kafka and ClickHouse.",
    },
    "Feed": {
        "produce": "Send events from a file or a pipe.",
        "simulate": "Send a believable day in the city.",
    },
    "Ask": {
        "sql": "Query the windows.",
        "lag": "How far the windows are behind the events.",
        "drain": "Wait until everything sent is in the windows.",
        "view": "Watch it live.",
    },
    "Repair": {
        "dlq": "Look at dead letters, correct them, send them again.",
        "rebuild": "Fold past windows again from the log, and compare them.",
        "resume": "Let a stream go on that was paused for its dead letters.",
    },
    "Set up": {
        "topics": "Create or update the Kafka topics.",
        "migrate": "Create or update the ClickHouse tables and views.",
        "schemas": "Write the JSON Schemas of all events.",
        "settings": "All settings, their values and meanings.",
        "completion": "Print the completion script of a shell.",
    },
    "Measure": {
        "bench": "What an event costs, measured here (from a clone).",
        "chaos": "Break everything at random, and compare every row (from a clone).",
    },
}
ROOT = Path(__file__).resolve().parents[2]
IN_CLONE = {"bench": "tests.bench.command", "chaos": "tests.chaos.command"}
HELP = {name: about for section in SECTIONS.values() for name, about in section.items()}


class LazyGroup(click.Group):
    """A group that knows its commands by name, and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """All names, in the order of the help."""
        return list(HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """The command, None when there is none of this name."""
        if cmd_name not in HELP or not _is_there(cmd_name):
            return None
        module = IN_CLONE.get(cmd_name, f"infra.cli.{cmd_name}")
        command: click.Command = import_module(module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own, but a misspelt name suggests the nearest."""
        name = args[0]
        if name not in HELP and not name.startswith("-"):
            near = get_close_matches(name, HELP, n=1)
            ctx.fail(f"no command {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
        if name in HELP and not _is_there(name):
            raise click.ClickException(
                f"`songlo {name}` is not installed: run infra/songlo {name} in a clone"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """The commands by section."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()), col_max=12)


def _is_there(name: str) -> bool:
    """Whether a command's module is; by its file, so that no package of another's called `tests` is taken."""
    return name not in IN_CLONE or (ROOT / IN_CLONE[name].replace(".", "/")).with_suffix(".py").is_file()


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, prog_name="songlo", message="%(prog)s %(version)s")
def cli() -> None:
    """Songlo: city events from Kafka to exact windows in ClickHouse.

    Start with `songlo up`. Settings are SONGLO_* variables, see `songlo settings`.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    sys.exit(run(cli, args))
