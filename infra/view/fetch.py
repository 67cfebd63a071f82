"""Fetches a snapshot from Kafka and ClickHouse."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Self

from infra.kafka.access import KafkaFailureError
from infra.kafka.admin import Admin
from infra.operate.lag import Offsets, lags
from infra.operate.pauses import pauses
from infra.operate.reads import PROGRESS, http_server, rows
from infra.settings.addresses import kafka_access
from infra.settings.values import Settings
from infra.view.snapshot import Category, Junction, OfficeFigures, Snapshot, StreamState
from sinks.clickhouse import ClickHouseAccess
from streams.sink import SinkError
from streams.spec import StreamSpec

MINUTES = 15  # as in the queries below

_JUNCTIONS = """
SELECT splitByString(', ', if(r.name = '', w.camera_id, r.name))[1] AS name, sum(w.objects) AS objects,
    sum(w.speed_avg * w.events) / nullIf(sumIf(w.events, w.speed_avg IS NOT NULL), 0) AS speed_kmh
FROM camera_minute AS w LEFT JOIN cameras AS r ON r.camera_id = w.camera_id
WHERE w.window_start >= now() - INTERVAL 15 MINUTE AND w.kind = 'vehicle'
GROUP BY name ORDER BY objects DESC, name LIMIT 5"""
_OFFICES = """
SELECT if(r.name = '', w.office_code, r.name) AS name, sum(w.events) AS events,
    sum(w.on_time) AS on_time, sum(w.overdue) AS overdue
FROM service_minute AS w LEFT JOIN offices AS r ON r.office_code = w.office_code
WHERE w.window_start >= now() - INTERVAL 15 MINUTE
GROUP BY name ORDER BY events DESC, name LIMIT 5"""
_CATEGORIES = """
SELECT merchant_category AS name, sum(succeeded) AS succeeded, sum(failed) AS failed,
    sum(amount_vnd) AS amount_vnd
FROM qr_minute WHERE window_start >= now() - INTERVAL 15 MINUTE
GROUP BY name ORDER BY amount_vnd DESC, name"""


class Source:
    """Where snapshots come from; keeps its connection to Kafka between them. A context manager."""

    def __init__(self, settings: Settings, specs: Collection[StreamSpec]) -> None:
        self._settings = settings
        self._specs = specs
        self._admin: Admin | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def fetch(self, now_ms: int, before: Snapshot | None) -> Snapshot:
        """The picture at this moment; never raises: what can't be asked is left out, and named in `trouble`.

        `before` is the last snapshot, for the rates.
        """
        ends, starts, trouble = self._offsets()
        try:
            server = http_server(self._settings)
            progress = rows(server, PROGRESS)
            held = {pause.stream for pause in pauses(server, self._specs)}
            windows = {s.name: _windows(server, s) for s in self._specs}
            junctions, offices, categories = (rows(server, q) for q in (_JUNCTIONS, _OFFICES, _CATEGORIES))
        except (SinkError, ValueError) as e:
            return Snapshot(now_ms, MINUTES, trouble=f"{trouble}; {e}" if trouble else str(e))
        streams = (
            replace(
                stream_state(s, progress, ends, starts, windows[s.name], now_ms, before),
                paused=s.name in held,
            )
            for s in self._specs
        )
        return Snapshot(
            now_ms,
            MINUTES,
            tuple(streams),
            tuple(Junction(**j) for j in junctions),
            tuple(OfficeFigures(**o) for o in offices),
            tuple(Category(**c) for c in categories),
            trouble,
        )

    def _offsets(self) -> tuple[Offsets, Offsets, str]:
        topics = [s.topic for s in self._specs]
        try:
            self._admin = self._admin or Admin(kafka_access(self._settings))
            return self._admin.ends(topics), self._admin.starts(topics), ""
        except (KafkaFailureError, ValueError) as e:
            self._leave()
            return {}, {}, str(e)

    def _leave(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None


def stream_state(
    spec: StreamSpec,
    progress: Collection[Mapping[str, Any]],
    ends: Offsets,
    starts: Offsets,
    windows: int,
    now_ms: int,
    before: Snapshot | None,
) -> StreamState:
    """The state of a stream from its partitions' progress and the ends of its log ({} when not known)."""
    mine = [p for p in progress if p["topic"] == spec.topic]
    # what was sent home is read there again
    events = sum(p["folded"] + p["duplicates"] + p["late"] + p["dead"] for p in mine)
    watermarks = [p["watermark_ms"] for p in mine if p["watermark_ms"] > 0]
    log = {place: end for place, end in ends.items() if place[0] == spec.topic}
    return StreamState(
        name=spec.name,
        events=events,
        per_second=_rate(spec.name, events, now_ms, before),
        windows=windows,
        watermark_ms=min(watermarks, default=None),
        lag=sum(p.lag for p in lags(log, starts, mine)) if ends else None,
        late=sum(p["late"] for p in mine),
        duplicates=sum(p["duplicates"] for p in mine),
        strays=sum(p["strays"] for p in mine),
        dead=sum(p["dead"] for p in mine),
    )


def _rate(name: str, events: int, now_ms: int, before: Snapshot | None) -> float | None:
    if before is None or now_ms <= before.now_ms:
        return None
    for stream in before.streams:
        if stream.name == name:
            return max(0, events - stream.events) * 1000 / (now_ms - before.now_ms)
    return None


def _windows(server: ClickHouseAccess, spec: StreamSpec) -> int:
    # names of tables come from this tree's own definitions
    query = f"SELECT count() AS n FROM {spec.view} WHERE window_start >= now() - INTERVAL 1 HOUR"  # noqa: S608
    return int(rows(server, query)[0]["n"])
