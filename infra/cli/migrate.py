"""`songlo migrate`."""

import click

from infra.cli.common import echo_json, json_option, pass_settings
from infra.operate.reads import native_server
from infra.settings.values import Settings
from sinks.migrate import migrate
from streams.registry import load_streams


@click.command()
@json_option
@pass_settings
def command(settings: Settings, as_json: bool) -> None:
    """Bring the ClickHouse tables and views up to date, and load the reference tables.

    Each migration of sinks/sql is applied once. Running it again is safe.
    """
    server = native_server(settings)
    applied = migrate(server, load_streams().values())
    if as_json:
        echo_json({"database": server.database, "applied": applied})
        return
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{server}, database {server.database}: up to date")
