"""The streams that a breaker has paused, and what is only noted of them, as ClickHouse knows it, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from infra.operate.reads import rows
from infra.operate.times import VIETNAM
from sinks.clickhouse import ClickHouseAccess
from streams.spec import StreamSpec

PAUSES = (
    "SELECT stream, toUnixTimestamp64Milli(at) AS at_ms, reason FROM breakers FINAL WHERE paused "
    "ORDER BY stream"
)

NOTED = (
    "SELECT stream, toUInt64(sum(not_fetched)) AS events FROM noted_letters GROUP BY stream ORDER BY stream"
)


@dataclass(frozen=True, slots=True)
class Pause:
    """A stream that is paused: since when, and why."""

    stream: str
    topic: str
    at_ms: int
    reason: str

    def __str__(self) -> str:
        since = f"{datetime.fromtimestamp(self.at_ms / 1000, VIETNAM):%Y-%m-%d %H:%M:%S}"
        return (
            f"stream {self.stream} is paused since {since}: {self.reason}. Look with "
            f"`songlo dlq list --stream {self.stream}`, go on with `songlo resume {self.stream}`, or past "
            f"what is refused by now with `songlo resume {self.stream} --past`"
        )


def pauses(server: ClickHouseAccess, specs: Iterable[StreamSpec]) -> list[Pause]:
    """What is paused of these streams; `server` is the HTTP side. Raises SinkError."""
    topics = {spec.name: spec.topic for spec in specs}
    found = rows(server, PAUSES)
    return [
        Pause(p["stream"], topics[p["stream"]], p["at_ms"], p["reason"])
        for p in found
        if p["stream"] in topics
    ]


def noted(server: ClickHouseAccess) -> list[str]:
    """What is refused and only noted, a line for each stream that has any. Raises SinkError."""
    return [
        f"of stream {row['stream']} {row['events']:,} refused events are only noted in the log: "
        f"songlo dlq fetch --stream {row['stream']}"
        for row in rows(server, NOTED)
        if row["events"]
    ]
