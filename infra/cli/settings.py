"""`songlo settings`."""

import os
from dataclasses import fields
from pathlib import Path
from textwrap import wrap
from typing import get_args, get_type_hints

import click

from infra.cli.common import echo_json, json_option, pass_settings
from infra.settings.values import Settings, variable

_WIDTH = 79


@click.command()
@json_option
@pass_settings
def command(settings: Settings, as_json: bool) -> None:
    """All settings: the variable, its value here, and what it means.

    Those that the environment sets are marked with *.
    """
    about = {name: get_args(hint)[1] for name, hint in get_type_hints(Settings, include_extras=True).items()}
    values = {f.name: _shown(f.name, getattr(settings, f.name)) for f in fields(Settings)}
    if as_json:
        echo_json(
            [
                {"variable": variable(n), "value": v, "set": variable(n) in os.environ, "about": about[n]}
                for n, v in values.items()
            ]
        )
        return
    for name, value in values.items():
        mark = "*" if variable(name) in os.environ else " "
        click.echo(f"{mark} {variable(name)}={value}")
        click.echo("\n".join(wrap(about[name], _WIDTH, initial_indent="      ", subsequent_indent="      ")))


def _shown(name: str, value: object) -> object:
    if name.endswith("password"):
        return "***" if value else ""
    return str(value) if isinstance(value, Path) else value
