"""`songlo schemas`."""

from pathlib import Path

import click

from schemas.jsonschema import FOLDER, write_schemas
from streams.registry import load_streams


@click.command()
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    help="The folder to write to (default: schemas/json).",
)
def command(to: Path) -> None:
    """Write the JSON Schema of each topic's messages, for producers in other languages."""
    for path in write_schemas({s.topic: s.event for s in load_streams().values()}, to):
        click.echo(path)
