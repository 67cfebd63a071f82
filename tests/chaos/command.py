"""`songlo chaos`."""

import logging
import secrets
import shutil
import tempfile
from pathlib import Path

import click

from infra.cli.common import FAILED, CommandError, echo_json, json_option, pass_settings
from infra.settings.values import Settings
from infra.setup.progress import SetupError
from infra.stack.process.ports import PortError
from infra.stack.process.service import ChildError
from tests.chaos.run import Order, Report, run


@click.command()
@click.option("--seed", type=int, help="The same seed brings the same faults and events. [default: any]")
@click.option("--minutes", type=click.FloatRange(0.1), default=5.0, show_default=True, help="How long.")
@click.option("--workers", type=click.IntRange(1, 16), default=3, show_default=True, help="Worker processes.")
@click.option("--rate", type=click.FloatRange(1), default=500.0, show_default=True, help="Messages a second.")
@click.option("--keep", is_flag=True, help="Leave data and logs where they are.")
@json_option
@pass_settings
def command(
    settings: Settings, seed: int | None, minutes: float, workers: int, rate: float, keep: bool, as_json: bool
) -> int:
    """Kill, freeze and cut off workers, Kafka and ClickHouse, and compare every row with the log.

    Runs on a stack of its own in a temporary directory; what is running here is not touched. Exit status 1
    when a single row or counter differs.
    """
    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    order = Order(seed=chosen, minutes=minutes, workers=workers, rate=rate)
    home = Path(tempfile.mkdtemp(prefix="songlo-chaos-"))
    _say(f"seed {chosen}, {minutes:g} minutes, {workers} workers, in {home}")
    logging.getLogger("infra").setLevel(logging.CRITICAL)  # that children die here is no news
    try:
        report = run(order, home, settings.cache, _say)
    except (SetupError, ChildError, PortError) as e:
        raise CommandError(str(e)) from e
    if report.equal and not keep:
        shutil.rmtree(home, ignore_errors=True)
    else:
        _say(f"data and logs are in {home}")
    if as_json:
        echo_json(report.as_json())
    else:
        _tell(report)
    return 0 if report.equal else FAILED


def _tell(report: Report) -> None:
    order = report.order
    click.echo(f"seed        {order.seed}")
    click.echo(f"faults      {sum(report.faults.values()):,}")
    for name, count in sorted(report.faults.items(), key=lambda item: -item[1]):
        click.echo(f"  {count:>7,}  {name}")
    click.echo(f"workers     {report.starts:,} starts, {len(report.unasked):,} ends that no fault asked for")
    for end in report.unasked:
        click.echo(f"           {end}")
    click.echo(f"messages    {report.sent:,} sent, {report.sent_again:,} of them again")
    click.echo(f"healed in   {report.healed_s:.1f} s")
    if report.trends:
        click.echo(f"{'first':>48} {'last':>7} {'most':>7}")
    for name, trend in report.trends.items():
        told = {None: "", True: "  GROWING", False: "  flat"}[trend.grew]
        numbers = " ".join(f"{n:>7,.1f}" for n in (trend.first, trend.last, trend.most))
        click.echo(f"            {name:<28} {numbers}{told}")
    click.echo(f"compared    {report.verdict or report.failure}")
    click.echo(f"verdict     {'equal to the last row' if report.equal else 'DIFFERENT'}{_growth(report)}")


def _growth(report: Report) -> str:
    if report.growing:
        return f", but GROWING: {', '.join(report.growing)}"
    return ", nothing grows" if report.judged else ", too short to tell what grows"


def _say(text: str) -> None:
    click.echo(text, err=True)
