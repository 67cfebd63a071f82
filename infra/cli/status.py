"""`songlo status`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from infra.cli.common import FAILED, echo_json, json_option, pass_settings
from infra.settings.values import Settings
from infra.stack.process.state import lives, read_state


@click.command()
@json_option
@pass_settings
def command(settings: Settings, as_json: bool) -> int:
    """What is running in SONGLO_HOME, and where. Exit status 1 when nothing is."""
    state = living(read_state(settings.home))
    if as_json:
        echo_json({"home": str(settings.home), **state})
    else:
        click.echo("\n".join([f"home        {settings.home}", *lines(state)]))
    return 0 if state["supervisor"]["pid"] else FAILED


def living(state: dict[str, Any]) -> dict[str, Any]:
    """The state, less what has died since it was written: a part without a process has pid null."""
    alive = lives(state.get("supervisor"))
    found: dict[str, Any] = {"state": state.get("state", "stopped") if alive else "stopped"}
    for name in ("supervisor", "broker", "clickhouse", "guard", "demo"):
        part = state.get(name)
        if isinstance(part, dict):
            found[name] = part if lives(part) else {**part, "pid": None, "started": None, "ready": False}
        elif name != "demo":
            found[name] = {"pid": None, "ready": False}
    for name, address in (("broker", "address"), ("clickhouse", "native"), ("clickhouse", "http")):
        found[name].setdefault(address, None)
    return {**found, "workers": [w for w in state.get("workers", []) if lives(w)]}


def lines(state: dict[str, Any]) -> list[str]:
    """For people."""
    if not state["supervisor"]["pid"]:
        return ["nothing is running: start it with `songlo up`"]
    broker, engine = state["broker"], state["clickhouse"]
    return [
        f"state       {state['state']}, supervisor {state['supervisor']['pid']}",
        f"kafka       {broker['address']}  {_health(broker)}",
        f"clickhouse  {engine['native']} (native), http://{engine['http']}  {_health(engine)}",
        *(
            f"{w['name']:<11} {w['state']}, pid {w['pid']}, {_restarts(w['restarts'], w.get('ended', ''))}"
            for w in state["workers"]
        ),
        *([] if state["workers"] else ["workers     none"]),
        *(
            f"PAUSED      {name}, for its dead letters: see `songlo lag`"
            for name in sorted({name for w in state["workers"] for name in w.get("paused", [])})
        ),
        *(
            f"strays      {count:,} of stream {name}, sent to the partitions of their keys"
            for name, count in sorted(_strays(state["workers"]).items())
            if count
        ),
    ]


def _strays(workers: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Events sent home by stream; each worker tells of its own partitions."""
    sums = Counter[str]()
    for worker in workers:
        sums.update(worker.get("strays", {}))
    return sums


def _health(part: dict[str, Any]) -> str:
    if not part["pid"]:
        return "restarting"
    return f"{'ready' if part['ready'] else 'starting'}, pid {part['pid']}"


def _restarts(count: int, ended: str) -> str:
    if not count:
        return "never restarted"
    last = f" (the last ended with {ended})" if ended else ""
    return f"restarted {count} time{'s' if count != 1 else ''}{last}"
