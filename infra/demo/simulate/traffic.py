"""What the cameras see: rush hours, markets in the morning, few at night."""

from random import Random
from typing import Any

from infra.demo.simulate.city import City
from infra.demo.simulate.moment import SimulatedMoment, between, curve
from schemas.reference import Camera

STREAM = "camera"

# share of a day's busiest hour, by the hour; schools and offices begin and end early here
_WORKDAY = (
    0.05, 0.03, 0.03, 0.04, 0.12, 0.38, 0.85, 1.00, 0.70, 0.55, 0.58, 0.85,
    0.62, 0.60, 0.58, 0.62, 0.88, 1.00, 0.82, 0.66, 0.52, 0.36, 0.18, 0.09,
)  # fmt: skip
_WEEKEND = (
    0.08, 0.05, 0.04, 0.05, 0.12, 0.30, 0.48, 0.60, 0.70, 0.75, 0.74, 0.66,
    0.50, 0.46, 0.52, 0.60, 0.72, 0.80, 0.86, 0.84, 0.70, 0.48, 0.26, 0.13,
)  # fmt: skip
_MARKET_HOURS = ((5.0, 10.5), (16.0, 18.5))
_MARKET_DAYS = 5  # a village market is held every fifth day, each ward's on a day of its own

_CLASSES = ("motorbike", "car", "truck", "bus", "bicycle")
_CLASS_WEIGHTS = (0.68, 0.20, 0.05, 0.02, 0.05)
_SPEEDS = {"motorbike": 34.0, "car": 38.0, "truck": 31.0, "bus": 29.0, "bicycle": 13.0}
_VIOLATIONS = ("no_helmet", "red_light", "wrong_lane", "speeding", "illegal_parking", "wrong_way")
_VIOLATION_WEIGHTS = (0.38, 0.22, 0.16, 0.12, 0.09, 0.03)
_INCIDENTS = ("collision", "breakdown", "flooding", "obstacle")
_KINDS = ("vehicle", "person", "violation", "incident", "heartbeat")
_KIND_WEIGHTS = {
    "junction": (0.925, 0.045, 0.012, 0.0003, 0.0177),
    "market": (0.480, 0.495, 0.004, 0.0003, 0.0207),
}
_CROWD_WEIGHTS = (0.300, 0.675, 0.002, 0.0003, 0.0227)
# a market's camera is this much busier than a junction's while it is held, and quieter else
_MARKET_BUSY, _MARKET_QUIET = 3.0, 0.5


def market_day(ward_code: str, moment: SimulatedMoment) -> bool:
    """Whether the ward's large market is held on this day."""
    return moment.day % _MARKET_DAYS == sum(ward_code.encode()) % _MARKET_DAYS


class Traffic:
    """Makes camera events; has no state beyond how busy each place is."""

    stream = STREAM

    def __init__(self, city: City, seed: int) -> None:
        # few places are busy, many are not: the weight falls with the rank in an order of its own
        order = list(city.cameras)
        Random(seed).shuffle(order)  # noqa: S311  # a simulation, not a secret
        self._cameras = order
        self._weights = [1 / (rank + 8) ** 0.7 for rank in range(len(order))]
        self._chosen_for: tuple[int, int] | None = None
        self._cumulated: list[float] = []

    def intensity(self, moment: SimulatedMoment) -> float:
        """How much happens, as a share of the busiest hour."""
        return curve(_WEEKEND if moment.weekend else _WORKDAY, moment.hour)

    def event(self, rng: Random, moment: SimulatedMoment) -> dict[str, Any]:
        """One event at this moment, without its id and time."""
        camera = self._camera(rng, moment)
        kind = rng.choices(_KINDS, _KIND_WEIGHTS.get(camera.place, _CROWD_WEIGHTS))[0]
        event: dict[str, Any] = {"ward_code": camera.ward_code, "camera_id": camera.camera_id, "kind": kind}
        if kind == "heartbeat":
            return event
        event["confidence"] = round(min(0.99, rng.betavariate(12, 2)), 2)
        if kind == "incident":
            return event | {"object_class": rng.choice(_INCIDENTS)}
        event["direction"] = camera.direction
        if kind == "person":
            crowded = camera.place != "junction"
            return event | {"object_class": "pedestrian", "count": 1 + int(rng.expovariate(1 / 3)) * crowded}
        object_class = rng.choices(_CLASSES, _CLASS_WEIGHTS)[0]
        event["object_class"] = object_class
        speed = rng.gauss(_SPEEDS[object_class] * (1.1 - 0.45 * self.intensity(moment)), 6.0)
        if kind == "violation":
            event["violation_code"] = rng.choices(_VIOLATIONS, _VIOLATION_WEIGHTS)[0]
            event["plate_hash"] = f"sim:{rng.getrandbits(64):016x}"
            if event["violation_code"] == "speeding":
                speed = abs(speed) + 28.0
        event["speed_kmh"] = round(min(160.0, max(2.0, speed)), 1)
        return event

    def _camera(self, rng: Random, moment: SimulatedMoment) -> Camera:
        quarter = (moment.day, int(moment.hour * 4))
        if quarter != self._chosen_for:
            self._chosen_for = quarter
            total, self._cumulated = 0.0, []
            for camera, weight in zip(self._cameras, self._weights, strict=True):
                total += weight * _busy(camera, moment)
                self._cumulated.append(total)
        return rng.choices(self._cameras, cum_weights=self._cumulated)[0]


def _busy(camera: Camera, moment: SimulatedMoment) -> float:
    if camera.place != "market":
        return 1.0
    if not between(moment, *_MARKET_HOURS):
        return _MARKET_QUIET
    return _MARKET_BUSY * (2.0 if market_day(camera.ward_code, moment) else 1.0)
