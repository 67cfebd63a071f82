"""What the one-stop offices do: cases that are handed in, checked, worked on and given back."""

from collections import deque
from random import Random
from typing import Any

from infra.demo.simulate.city import City
from infra.demo.simulate.moment import SATURDAY, SimulatedMoment, between, curve
from schemas.reference import Office

STREAM = "service"

_DAY_MS = 86_400_000
_OPEN = ((7.5, 11.5), (13.0, 17.0))
_SATURDAY_OPEN = ((7.5, 11.0),)
# what citizens do online, by the hour, as a share of an open counter's busiest hour
_ONLINE = (
    0.02, 0.01, 0.01, 0.01, 0.01, 0.03, 0.06, 0.10, 0.16, 0.18, 0.16, 0.10,
    0.08, 0.12, 0.16, 0.16, 0.13, 0.10, 0.10, 0.13, 0.14, 0.11, 0.07, 0.04,
)  # fmt: skip
_MONDAY_RUSH = 1.35
_ACTIONS = (
    "submitted",
    "accepted",
    "supplement_requested",
    "processed",
    "returned",
    "fee_paid",
    "rejected",
    "withdrawn",
)
_ACTION_WEIGHTS = (0.23, 0.21, 0.04, 0.18, 0.19, 0.12, 0.02, 0.01)
_ONLINE_ACTIONS = ("submitted", "fee_paid", "withdrawn")
_ONLINE_WEIGHTS = (0.80, 0.19, 0.01)
_PAYMENTS = ("cash", "qr", "card", "bank_transfer")
_PAYMENT_WEIGHTS = (0.30, 0.45, 0.07, 0.18)
_REMEMBERED = 5000
_RIPE_MS = 120_000
_ON_TIME = 0.94


class ServiceSource:
    """Makes service events; remembers the newest cases, so that steps follow each other."""

    stream = STREAM

    def __init__(self, city: City, seed: int) -> None:
        rng = Random(seed)  # noqa: S311  # a simulation, not a secret
        self._offices = list(city.offices)
        self._procedures = list(city.procedures)
        self._popular = [1 / (rank + 1) for rank in range(len(self._procedures))]
        rng.shuffle(self._popular)
        self._cases: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._number = 0

    def intensity(self, moment: SimulatedMoment) -> float:
        """How much happens, as a share of a Tuesday's busiest hour."""
        online = curve(_ONLINE, moment.hour)
        if not _is_open(moment):
            return online
        # counters are fullest in the middle of each half day
        start, end = next(span for span in _OPEN if span[0] <= moment.hour < span[1])
        fullness = 1 - abs((moment.hour - start) / (end - start) * 2 - 1) ** 2 * 0.6
        return online + fullness * (_MONDAY_RUSH if moment.weekday == 0 else 1.0) * 0.85

    def event(self, rng: Random, moment: SimulatedMoment) -> dict[str, Any]:
        """One event at this moment, without its id and time."""
        online = not _is_open(moment) or rng.random() < 0.35
        actions = (_ONLINE_ACTIONS, _ONLINE_WEIGHTS) if online else (_ACTIONS, _ACTION_WEIGHTS)
        action = rng.choices(*actions)[0]
        case = self._new(rng, moment, online) if action == "submitted" else self._old(rng, moment, online)
        event = {k: v for k, v in case.items() if k not in ("days", "fee")} | {"action": action}
        if action == "submitted":
            event["submitted_at"] = moment.ms
            self._cases.append(case | {"submitted_at": moment.ms})
        if action == "fee_paid":
            event["fee_vnd"] = case["fee"]
            event["payment_method"] = rng.choices(_PAYMENTS, _PAYMENT_WEIGHTS)[0]
        return event

    def _new(self, rng: Random, moment: SimulatedMoment, online: bool) -> dict[str, Any]:
        office: Office = rng.choice(self._offices)
        procedure = rng.choices(self._procedures, self._popular)[0]
        self._number += 1
        channel = "online" if online else rng.choices(("counter", "post"), (0.96, 0.04))[0]
        return {
            "ward_code": office.ward_code,
            "case_id": f"{office.office_code}-{moment.day}-{self._number:06}",
            "procedure_code": procedure.procedure_code,
            "office_code": office.office_code,
            "channel": channel,
            "due_at": moment.ms + max(1, procedure.days) * _DAY_MS,
            "days": procedure.days,
            "fee": procedure.fee_vnd,
        }

    def _old(self, rng: Random, moment: SimulatedMoment, online: bool) -> dict[str, Any]:
        """A case that is under way: one of this run now and then, else one handed in before the run began."""
        if self._cases and rng.random() < 0.3 and moment.ms - self._cases[0]["submitted_at"] > _RIPE_MS:
            return self._cases.popleft()
        case = self._new(rng, moment, online)
        allowed = max(1, case["days"]) * _DAY_MS
        if rng.random() < _ON_TIME:
            taken = int(allowed * rng.uniform(0.15, 0.98))
        else:
            taken = int(allowed * (1 + rng.expovariate(3.0)) + 60_000)
        submitted_at = moment.ms - taken
        return case | {"submitted_at": submitted_at, "due_at": submitted_at + allowed}


def _is_open(moment: SimulatedMoment) -> bool:
    if moment.weekday > SATURDAY:
        return False
    return between(moment, *(_SATURDAY_OPEN if moment.weekday == SATURDAY else _OPEN))
