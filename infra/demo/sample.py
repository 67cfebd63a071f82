"""The packaged log of real junctions, as camera events that end now."""

import csv
import gzip
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from schemas.reference import Camera

SAMPLE = Path(__file__).parent / "data" / "odot_hires_3signals.csv.gz"
# codes of the log: a vehicle detector goes on, a pedestrian's button is pushed
_KINDS = {"82": "vehicle", "90": "person"}
# the junctions of the log, each given to a ward with enough cameras
_WARDS = {"452": "02203", "227": "02200", "454": "02206"}
_HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def junction_events(
    cameras: tuple[Camera, ...], end_ms: int, run: str, path: Path = SAMPLE
) -> Iterator[dict[str, Any]]:
    """Camera events in the order of their times; the log's full last hour ends at `end_ms`.

    `run` tells this replay's ids from those of others: an id belongs to one time only.
    """
    log = list(_detections(path))
    names = _camera_names(cameras, log)
    end_of_log_ms = -(-log[-1].at_ms // _HOUR_MS) * _HOUR_MS
    for seen in log:
        camera = names[seen.device, seen.detector]
        yield {
            "event_id": f"odot-{run}-{seen.row}",
            "occurred_at": end_ms - (end_of_log_ms - seen.at_ms),
            "ward_code": camera.ward_code,
            "camera_id": camera.camera_id,
            "kind": seen.kind,
            "direction": camera.direction,
        }


class _Detection(NamedTuple):
    """One line of the log; `at_ms` counts from an origin of its own: only differences mean something."""

    row: int
    at_ms: int
    device: str
    detector: str
    kind: str


def _detections(path: Path) -> Iterator[_Detection]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        for row, (time, device, code, detector) in enumerate(csv.reader(text)):
            if kind := _KINDS.get(code):
                yield _Detection(row, _ms(time), device, detector, kind)


def _camera_names(cameras: tuple[Camera, ...], log: Iterable[_Detection]) -> dict[tuple[str, str], Camera]:
    """Each detector's camera: the n-th of a junction is the n-th junction camera of its ward."""
    detectors = {(seen.device, seen.detector) for seen in log}
    names: dict[tuple[str, str], Camera] = {}
    for device, ward in _WARDS.items():
        eyes = [c for c in cameras if c.ward_code == ward and c.place == "junction"]
        numbers = sorted((detector for d, detector in detectors if d == device), key=int)
        # a junction may have more detectors than the ward has cameras: then some cameras see two lanes
        names |= {(device, detector): eyes[n % len(eyes)] for n, detector in enumerate(numbers)}
    return names


def _ms(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
