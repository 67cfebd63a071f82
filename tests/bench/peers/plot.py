"""Draw the comparison: JSON of `songlo bench peers` on stdin, the PNG's path as the argument."""

import json
import sys

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of the backend

OURS, THEIRS, BARE = "#0b6e4f", "#7a8b99", "#c9d1d8"


def main() -> None:
    """One bar for each contender, cheapest on top, on a logarithmic scale."""
    report = json.load(sys.stdin)
    shown = [c for c in report["contenders"] if c["cpu_us_per_event"] and c["equal"] is not False]
    shown.sort(key=lambda c: -c["cpu_us_per_event"])
    costs = [c["cpu_us_per_event"] for c in shown]
    around = [[v - c["cpu_us_spread"][0] for v, c in zip(costs, shown, strict=True)]]
    around.append([c["cpu_us_spread"][1] - v for v, c in zip(costs, shown, strict=True)])
    colours = [OURS if c["name"] == "a" else BARE if c["equal"] is None else THEIRS for c in shown]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(shown) + 1.5), dpi=130, layout="constrained")
    axes.barh([c["title"] for c in shown], costs, xerr=around, color=colours, ecolor="#444444", capsize=2)
    ours = next((c["cpu_us_per_event"] for c in shown if c["name"] == "a"), None)
    for place, (cost, high) in enumerate(zip(costs, around[1], strict=True)):
        times = f"  ({cost / ours:.1f}×)" if ours and cost != ours else ""
        axes.text(
            (cost + high) * 1.08, place, f"{cost:.{2 if cost < 1 else 1}f}{times}", va="center", fontsize=8
        )
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 2, max(costs) * 4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("CPU µs per event on one core (pale: reads and decodes only)")
    load = report["load"]
    title = f"{load['events']:,} events, {load['keys']:,} keys, one-minute windows; {report['runs']} runs"
    axes.set_title(title, fontsize=10, loc="left")
    figure.savefig(sys.argv[1])


if __name__ == "__main__":
    main()
