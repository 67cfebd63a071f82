"""`songlo topics`."""

from dataclasses import asdict

import click

from infra.cli.common import echo_json, json_option, pass_settings
from infra.kafka.admin import Admin
from infra.kafka.topics import apply, plan
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from streams.registry import load_streams

_DONE = {"create": "created", "configure": "updated", "keep": "unchanged"}


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
@pass_settings
def command(settings: Settings, dry_run: bool, as_json: bool) -> None:
    """Create the topics of all streams, or update their settings.

    New topics get SONGLO_PARTITIONS partitions and SONGLO_REPLICATION replicas. The number of partitions
    of a topic that exists is never changed.
    """
    specs = load_streams().values()
    with Admin(kafka_access(settings)) as admin:
        steps = plan(specs, admin.topics([s.topic for s in specs]), settings)
        if not dry_run:
            apply(admin, steps, settings.replication)
    if as_json:
        echo_json([asdict(step) for step in steps])
        return
    for step in steps:
        done = f"would {step.action}" if dry_run else _DONE[step.action]
        click.echo(f"{step.topic}: {done}, {step.partitions} partitions")
        for name, value in sorted(step.config.items()):
            click.echo(f"  {name}={value}")
        if step.note:
            click.echo(f"songlo: {step.topic} {step.note}", err=True)
