"""Draws a snapshot: pure, 80 columns by at most 24 lines."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.operate.lag import duration
from infra.view.snapshot import (
    Category,
    Junction,
    OfficeFigures,
    Snapshot,
    StreamState,
    clock,
    dong,
    dotted,
    short,
)

WIDTH, HEIGHT = 80, 24
_BAR = 20
_HEAD = "bold cyan"
_QUERY = "songlo sql 'SELECT * FROM camera_minute ORDER BY window_start DESC LIMIT 9'"
# an office's long title says nothing beside others that all begin so
_TITLES = ("Bộ phận Một cửa UBND ", "Bộ phận Tiếp nhận và Trả kết quả UBND ")


def render(snapshot: Snapshot, footer: str = _QUERY) -> RenderableType:
    """The whole picture."""
    parts: list[RenderableType] = [_title(snapshot), Text(), _streams(snapshot), Text()]
    parts += [_beside(_junctions(snapshot), _offices(snapshot)), Text(), _categories(snapshot)]
    last = Text(snapshot.trouble, style="bold red") if snapshot.trouble else Text(footer, style="dim")
    last.truncate(WIDTH, overflow="ellipsis")
    return Group(*parts, last)


def line(snapshot: Snapshot) -> str:
    """The picture as one line, for logs."""
    streams = [
        f"{s.name} {dotted(s.events)} events"
        + (f" ({short(s.per_second)}/s)" if s.per_second is not None else "")
        + (f", lag {dotted(s.lag)}" if s.lag is not None else "")
        + (", PAUSED" if s.paused else "")
        for s in snapshot.streams
    ]
    return f"{clock(snapshot.now_ms)} " + "; ".join([*streams, *filter(None, [snapshot.trouble])])


def _title(snapshot: Snapshot) -> Table:
    table = _table(("left", 56), ("right", 24))
    table.add_row(
        Text("Songlo · Tuyên Quang", style="bold"),
        Text(f"{clock(snapshot.now_ms)}  Ctrl-C ends", style="dim"),
    )
    return table


def _streams(snapshot: Snapshot) -> Table:
    table = _table(
        ("left", 8), ("right", 10), ("right", 6), ("right", 7), ("right", 10), ("right", 7), ("right", 6),
        ("right", 6), ("right", 7), ("right", 7), ("right", 6),
    )  # fmt: skip
    heads = (
        "stream", "events in", "per s", "win./h", "watermark", "age", "lag",
        "late", "repeat", "strays", "dead",
    )  # fmt: skip
    table.add_row(*(Text(h, style=_HEAD) for h in heads))
    for s in snapshot.streams:
        table.add_row(*_stream(s, snapshot.now_ms))
    return table


def _stream(s: StreamState, now_ms: int) -> list[Text]:
    age = duration((now_ms - s.watermark_ms) / 1000 if s.watermark_ms else None)
    cells = [
        s.name,
        dotted(s.events) if s.events < 10**8 else short(s.events),
        "-" if s.per_second is None else short(s.per_second),
        dotted(s.windows) if s.windows < 10**5 else short(s.windows),
        clock(s.watermark_ms),
        "paused" if s.paused else age,
        "-" if s.lag is None else short(s.lag),
        short(s.late),
        short(s.duplicates),
        short(s.strays),
        short(s.dead),
    ]
    return [Text(c, style="bold red" if s.paused else "") for c in cells]


def _junctions(snapshot: Snapshot) -> Table:
    table = _table(("left", 28), ("right", 7), ("right", 5))
    heads = (f"busiest junctions, {snapshot.minutes} min", "passed", "km/h")
    table.add_row(*(Text(h, style=_HEAD) for h in heads))
    for j in snapshot.junctions:
        table.add_row(*_junction(j))
    return table


def _junction(j: Junction) -> tuple[Text, ...]:
    speed = "-" if j.speed_kmh is None else f"{j.speed_kmh:.0f}"
    return Text(j.name.removeprefix("Ngã tư ")), Text(short(j.objects)), Text(speed)


def _offices(snapshot: Snapshot) -> Table:
    table = _table(("left", 24), ("right", 7), ("right", 8))
    heads = ("one-stop offices", "steps", "on time")
    table.add_row(*(Text(h, style=_HEAD) for h in heads))
    for o in snapshot.offices:
        table.add_row(*_office(o))
    return table


def _office(o: OfficeFigures) -> tuple[Text, ...]:
    name = o.name
    for title in _TITLES:
        name = name.removeprefix(title)
    judged = o.on_time + o.overdue
    share = f"{100 * o.on_time / judged:.0f} %" if judged else "-"
    return Text(name[:1].upper() + name[1:]), Text(short(o.events)), Text(share)


def _categories(snapshot: Snapshot) -> Table:
    table = _table(("left", 19), ("right", 9), ("right", 8), ("right", 21), ("left", _BAR + 2))
    heads = (f"QR payments, {snapshot.minutes} min", "paid", "failed", "amount", "")
    table.add_row(*(Text(h, style=_HEAD) for h in heads))
    most = max((c.amount_vnd for c in snapshot.categories), default=0)
    for c in snapshot.categories:
        table.add_row(*_category(c, most))
    return table


def _category(c: Category, most: int) -> tuple[Text, ...]:
    tried = c.succeeded + c.failed
    failed = f"{100 * c.failed / tried:.1f} %".replace(".", ",") if tried else "-"
    bar = "█" * round(_BAR * c.amount_vnd / most) if most else ""
    return (
        Text(c.name.replace("_", " ")),
        Text(dotted(c.succeeded)),
        Text(failed),
        Text(dong(c.amount_vnd)),
        Text(f" {bar}", style="green"),
    )


def _beside(left: Table, right: Table) -> Table:
    table = _table(("left", 41), ("left", 39))
    table.add_row(left, right)
    return table


def _table(*columns: tuple[str, int]) -> Table:
    """Columns of fixed width, each line cut where it does not fit."""
    table = Table.grid(padding=0)
    for justify, width in columns:
        table.add_column(justify=justify, width=width, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]  # one of rich's words
    return table
