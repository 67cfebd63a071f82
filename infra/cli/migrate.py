"""`songlo migrate`."""

from contextlib import closing

import click

from infra.cli.common import echo_json, json_option, pass_settings
from infra.operate.homes.start import without_homes
from infra.operate.reads import native_server
from infra.settings.values import Settings
from sinks.migrate import migrate
from sinks.store import ClickHouseSink
from streams.registry import load_streams


@click.command()
@json_option
@pass_settings
def command(settings: Settings, as_json: bool) -> None:
    """Bring the ClickHouse tables and views up to date, and load the reference tables.

    Each migration of sinks/sql is applied once. Running it again is safe.
    """
    server, specs = native_server(settings), load_streams().values()
    applied = migrate(server, specs)
    with closing(ClickHouseSink(server)) as sink:
        homeless = [s.topic for s in without_homes(sink, specs)]
    if as_json:
        echo_json({"database": server.database, "applied": applied, "to_rehome": homeless})
        return
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{server}, database {server.database}: up to date")
    if homeless:
        click.echo(
            f"songlo: {', '.join(homeless)}: folded by a version in which events had no homes: stop all "
            "workers, run `songlo topics --rehome`, and start those of this version",
            err=True,
        )
