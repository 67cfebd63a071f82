"""Rehomings as text: lines of at most 80 columns, JSON, and what to be warned of."""

from collections.abc import Iterable, Iterator
from textwrap import wrap

from infra.operate.homes.rehomer import Rehomed, TopicHomes
from infra.operate.times import clock_text
from infra.settings.values import STRAYS


def rehomed_lines(done: Iterable[Rehomed], *, dry_run: bool) -> list[str]:
    """A line for each topic, a header first."""
    lines = [f"{'topic':<30} {'homes':>12} {'strays':>8} {'epoch':>6}  what was done"]
    for each in done:
        found, homes = each.found, each.now or each.found.before
        before = f"{found.before.partitions}" if found.before else "-"
        shown = f"{before} -> {found.target.partitions}" if found.reason else before
        what = "unchanged" if not found.reason else "would rehome" if dry_run else "rehomed"
        epoch = f"{homes.epoch}" if homes else "-"
        lines.append(f"{found.spec.topic:<30.30} {shown:>12} {_strays(found):>8} {epoch:>6}  {what}")
        if found.reason:
            lines += wrap(found.reason, 80, initial_indent="  ", subsequent_indent="  ")
    return lines


def rehomed_json(each: Rehomed) -> dict[str, object]:
    """One topic, for scripts."""
    found, homes = each.found, each.now or each.found.before
    first, last = each.windows or (None, None)
    return {
        "topic": found.spec.topic,
        "reason": found.reason,
        "rehomed": each.now is not None,
        "homes_before": found.before.partitions if found.before else None,
        "homes": homes.partitions if homes else None,
        "partitions": found.target.partitions,
        "strays": _strays(found),
        "epoch": homes.epoch if homes else None,
        "offsets_read": found.offsets if each.now else 0,
        "first_window_ms": first,
        "last_window_ms": last,
    }


def warnings(done: Iterable[Rehomed]) -> Iterator[str]:
    """What may count twice from now on."""
    for each in done:
        if each.now is None:
            continue
        topic = each.found.spec.topic
        if each.windows:
            first, last = (clock_text(ms)[:10] for ms in each.windows)
            days = first if first == last else f"{first} to {last}"
            yield (
                f"{topic}: an event of {days} that was counted before, and is sent again, may count twice "
                "where its home is another now"
            )
        if each.found.gaps:
            numbers = ", ".join(map(str, sorted(each.found.gaps)))
            yield (
                f"{topic}: Kafka no longer has the beginning of windows that were open in partitions "
                f"{numbers}: repeats of their events can't be told"
            )


def _strays(found: TopicHomes) -> str:
    kept = found.before if found.before and not found.reason else found.target
    return STRAYS[0] if kept.forward else STRAYS[1]
