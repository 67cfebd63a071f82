"""The live view as a picture in a file: what a terminal shows, as SVG without anything from outside."""

import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from infra.settings.values import Settings
from infra.view.fetch import Source
from infra.view.render import HEIGHT, WIDTH, render
from streams.registry import load_streams

# rates need two looks
BETWEEN_S = 5.0
# rich's own template would fetch its font from a network
TEMPLATE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>{lines}</defs>
<rect width="{width}" height="{height}" rx="8" fill="#0c0c0c"/>
<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">{matrix}</g></g>
</svg>
"""


def save_picture(settings: Settings, path: Path) -> None:
    """Write what the live view shows by now; waits five seconds, since rates need two looks."""
    with path.open("w", encoding="utf-8") as out, Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, height=HEIGHT, file=nowhere, force_terminal=True)
        with Source(settings, tuple(load_streams().values())) as source:
            before = source.fetch(time.time_ns() // 1_000_000, None)
            time.sleep(BETWEEN_S)
            console.print(render(source.fetch(time.time_ns() // 1_000_000, before)))
        out.write(console.export_svg(title="", theme=MONOKAI, code_format=TEMPLATE))
