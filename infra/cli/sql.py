"""`songlo sql`."""

import sys

import click

from infra.cli.common import CommandError, pass_settings
from infra.operate.reads import http_server
from infra.settings.values import Settings
from sinks.query import stream_query


@click.command()
@click.argument("query")
@click.option(
    "--format", "output_format", metavar="NAME", help="One of ClickHouse's formats: TSV, CSV, JSON …"
)
@pass_settings
def command(settings: Settings, query: str, output_format: str | None) -> None:
    """Ask ClickHouse; QUERY '-' reads it from stdin.

    The format is a table on a terminal and TSV in a pipe, unless --format or the query says another.

    \b
    songlo sql 'SHOW TABLES'
    songlo sql 'SELECT window_start, sum(objects) FROM camera_minute
                GROUP BY ALL ORDER BY ALL DESC LIMIT 10'
    """
    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise CommandError("the query is empty")
    chosen = output_format or ("PrettyCompactMonoBlock" if sys.stdout.isatty() else "TSV")
    for piece in stream_query(http_server(settings), text, chosen):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
