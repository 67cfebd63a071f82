"""`songlo rebuild`."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

import click

from infra.cli.common import FAILED, echo_json, json_option, pass_settings
from infra.cli.produce import StreamChoice
from infra.cli.progress import progress
from infra.operate.reads import native_server
from infra.operate.rebuild import logs_of, parts, rebuild
from infra.operate.times import clock_text, moment_ms, short_text
from infra.settings.addresses import kafka_access
from infra.settings.rules import rules_of
from infra.settings.values import Settings
from sinks.clickhouse import Session
from sinks.schema import check_schema
from sinks.shadow import ClickHouseShadow
from sinks.store import ClickHouseSink
from streams.core.rebuild import Span
from streams.core.rules import Rules
from streams.shadow import Comparison, Difference, swap
from streams.spec import StreamSpec

# what is left of 80 columns
_WIDTH = 32
# partitions of a topic, at most
_PARTITIONS = 65_536


class MomentParam(click.ParamType):
    """A time in one of the ways of `songlo dlq`, as epoch milliseconds."""

    name = "TIME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Epoch milliseconds."""
        try:
            return moment_ms(value, time.time_ns() // 1_000_000)
        except ValueError as e:
            self.fail(str(e), param, ctx)


@click.command()
@click.argument("stream", type=StreamChoice())
@click.option("--from", "from_ms", type=MomentParam(), required=True, help="The first window.")
@click.option("--to", "to_ms", type=MomentParam(), required=True, help="The first window that is left alone.")
@click.option("--apply", "apply", is_flag=True, help="Swap in what differs; workers go on meanwhile.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(0), help="Differences to show.")
@click.option("--accept-gap", is_flag=True, help="Go on where the log no longer has all of the windows.")
@json_option
@pass_settings
def command(
    settings: Settings,
    stream: StreamSpec,
    from_ms: int,
    to_ms: int,
    apply: bool,
    limit: int,
    accept_gap: bool,
    as_json: bool,
) -> int:
    """Fold the windows of STREAM that start in a time again from Kafka's log, and compare.

    Every event goes to its window, however late it came, each once. Nothing is changed unless --apply is
    given: then windows that differ are swapped, and late events, which are rows of their own until then,
    become part of their windows. Only windows that every partition has closed can be rebuilt.

    TIME is like 2025-05-01T08:00 (Vietnam's, or with an offset), or 2h or 3d ago.

    Exit status: 0 nothing differs, or it was swapped in; 1 something differs. Memory: about 200 bytes for
    each event of these windows in one partition, 1 kB for each row and each late event; take a long time in
    pieces.
    """
    rules = rules_of(settings)
    span = _span(from_ms, to_ms, rules)
    server, kafka = native_server(settings), kafka_access(settings)
    with closing(Session(server)) as session:
        check_schema(session, [stream])
    with closing(ClickHouseSink(server)) as sink:
        stored = sink.progress(stream.topic, range(_PARTITIONS))
        chosen = parts(stored, logs_of(kafka, stored, span, rules), span, rules, accept_gap=accept_gap)
        with closing(ClickHouseShadow(server, stream, rules.pane_ms, span)) as shadow:
            with progress(stream.topic, sum(part.offsets for part in chosen)) as advance:
                rebuild(
                    kafka, sink, shadow, stream, rules, span, chosen, advance,
                    accept_gap=accept_gap, unpack_bytes=settings.unpack_mb << 20,
                )  # fmt: skip
            compared = shadow.compare(limit)
            for _ in swap(shadow) if apply else ():
                pass
    if as_json:
        echo_json(_summary(stream, span, compared, apply))
    else:
        click.echo("\n".join(_told(stream, span, compared, apply)))
    return 0 if apply or compared.equal else FAILED


def _span(from_ms: int, to_ms: int, rules: Rules) -> Span:
    try:
        return Span.of(from_ms, to_ms, rules.pane_ms)
    except ValueError as e:
        raise click.UsageError(f"--from {clock_text(from_ms)} --to {clock_text(to_ms)}: {e}") from e


def _summary(stream: StreamSpec, span: Span, compared: Comparison, applied: bool) -> dict[str, object]:
    shown = [asdict(difference) for difference in compared.shown]
    counts = {name: value for name, value in asdict(compared).items() if name != "shown"}
    place = {"stream": stream.name, "from_ms": span.start_ms, "to_ms": span.end_ms}
    return place | {"equal": compared.equal, "applied": applied} | counts | {"differences": shown}


def _told(stream: StreamSpec, span: Span, compared: Comparison, applied: bool) -> Iterator[str]:
    if compared.shown:
        yield f"{'window':<11}  {'':<9} {'events now':>11} {'by the log':>11}  where"
    yield from (_line(difference) for difference in compared.shown)
    wrong = compared.missing + compared.surplus + compared.different
    if wrong > len(compared.shown):
        yield f"and {wrong - len(compared.shown):,} more"
    times = " to ".join(clock_text(ms).removesuffix(":00") for ms in (span.start_ms, span.end_ms))
    yield f"{stream.view}, {times}: {compared.windows:,} windows, {compared.rows:,} rows"
    kinds = f"{compared.missing:,} missing, {compared.surplus:,} surplus, {compared.different:,} different"
    yield f"{compared.wrong_windows:,} windows differ; rows: {kinds}"
    if compared.late:
        become = "are now" if applied else "would become"
        yield f"{compared.late:,} late events {become} part of their windows"
    if applied:
        yield "swapped in" if wrong or compared.late else "nothing to change"
    elif wrong or compared.late:
        yield "nothing was changed: --apply swaps this in"


def _line(difference: Difference) -> str:
    """One row, in 80 columns."""
    where = " ".join(filter(None, difference.dimensions))
    if difference.kind == "different" and difference.columns:
        where = f"{', '.join(difference.columns)}: {where}"
    if len(where) > _WIDTH:
        where = f"{where[: _WIDTH - 1]}…"
    numbers = f"{difference.events_now:>11,} {difference.events_log:>11,}"
    return f"{short_text(difference.window_start_ms):<11}  {difference.kind:<9} {numbers}  {where}"
