"""`songlo topics`."""

from dataclasses import asdict

import click

from infra.cli.common import CommandError, echo_json, json_option, pass_settings
from infra.cli.progress import progress
from infra.kafka.admin import Admin, Topic
from infra.kafka.topics import apply, plan
from infra.operate.homes.rehomer import Rehomed, Rehomer, TopicHomes
from infra.operate.homes.start import forwards, rehomer
from infra.operate.homes.text import rehomed_json, rehomed_lines, warnings
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from streams.registry import load_streams

_DONE = {"create": "created", "configure": "updated", "keep": "unchanged"}


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--rehome", is_flag=True, help="Reckon homes by the partitions that there are now.")
@click.option("--accept-gap", is_flag=True, help="Rehome where Kafka no longer has what would be read again.")
@json_option
@pass_settings
def command(settings: Settings, dry_run: bool, rehome: bool, accept_gap: bool, as_json: bool) -> None:
    """Create the topics of all streams, or update their settings.

    New topics get SONGLO_PARTITIONS partitions and SONGLO_REPLICATION replicas. The number of partitions
    of a topic that exists is never changed.

    With --rehome, and while no worker runs: after partitions were added, SONGLO_STRAYS was changed or a
    version without homes was upgraded, the events to come find their homes by what is now. What was counted
    stays as it is, so a repeat of an event from before counts twice where its home is another. Interrupted,
    it may be run again.
    """
    if accept_gap and not rehome:
        raise click.UsageError("--accept-gap is for --rehome")
    if rehome:
        _rehome(settings, dry_run=dry_run, accept_gap=accept_gap, as_json=as_json)
        return
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


def _rehome(settings: Settings, *, dry_run: bool, accept_gap: bool, as_json: bool) -> None:
    topics = _topics_without_workers(settings, dry_run=dry_run)
    specs = [s for s in load_streams().values() if s.topic in topics]
    with rehomer(settings) as work:
        # all of them first, so that what can't be done is said before anything is
        found = [
            work.look(topics[s.topic], s, forward=forwards(settings), accept_gap=accept_gap) for s in specs
        ]
        done = [Rehomed(each) if dry_run or not each.reason else _done(work, each) for each in found]
    if as_json:
        echo_json([rehomed_json(each) for each in done])
        return
    for line in rehomed_lines(done, dry_run=dry_run):
        click.echo(line)
    for warning in warnings(done):
        click.echo(f"songlo: {warning}", err=True)


def _done(work: Rehomer, found: TopicHomes) -> Rehomed:
    click.echo(f"songlo: {found.spec.topic}: {found.reason}, rehoming …", err=True)
    with progress(found.spec.topic, found.offsets) as advance:
        return work.rehome(found, advance)


def _topics_without_workers(settings: Settings, *, dry_run: bool) -> dict[str, Topic]:
    """The streams' topics that are there; raises CommandError while workers are in the group."""
    names = [s.topic for s in load_streams().values()]
    with Admin(kafka_access(settings)) as admin:
        members = admin.members(settings.group)
        topics = admin.topics(names)
    if members and not dry_run:
        shown = ", ".join(members[:5]) + (f" and {len(members) - 5} more" if len(members) > 5 else "")
        raise CommandError(
            f"the consumer group {settings.group} has members: {shown}. Stop all workers with SIGTERM, and "
            f"run this again; one that was killed is a member for {settings.session_ms / 1000:.0f} s more"
        )
    if not topics:
        raise CommandError("there are no topics: run `songlo topics`")
    return topics
