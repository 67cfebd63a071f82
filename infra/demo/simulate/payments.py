"""What merchants take by QR: each report is what a gateway has summed for one merchant."""

from random import Random
from typing import Any

import xxhash

from infra.demo.simulate.city import City
from infra.demo.simulate.moment import SimulatedMoment, curve
from infra.demo.simulate.traffic import market_day
from schemas.reference import Merchant

STREAM = "qr"

# tenths of the busiest hour, by the hour
_TENTHS = {
    "school": (0, 0, 0, 0, 0, 0, 5, 10, 8, 5, 4, 3, 1, 3, 4, 5, 9, 6, 1, 1, 1, 0, 0, 0),
    "hospital": (1, 1, 1, 1, 1, 2, 5, 10, 10, 9, 8, 5, 3, 6, 8, 7, 5, 3, 2, 2, 2, 1, 1, 1),
    "supermarket": (0, 0, 0, 0, 0, 0, 1, 3, 5, 6, 7, 6, 4, 3, 4, 5, 7, 10, 10, 9, 6, 3, 0, 0),
    "convenience_store": (1, 1, 0, 0, 1, 4, 8, 9, 6, 5, 6, 8, 6, 5, 5, 6, 7, 9, 10, 10, 9, 7, 4, 2),
    "market": (0, 0, 0, 0, 3, 9, 10, 10, 9, 7, 5, 3, 1, 1, 2, 4, 7, 6, 2, 1, 0, 0, 0, 0),
    "government": (0, 0, 0, 0, 0, 0, 0, 4, 10, 10, 8, 2, 0, 5, 10, 9, 5, 0, 0, 0, 0, 0, 0, 0),
}
_OTHER = (1, 1, 1, 1, 1, 1, 4, 6, 7, 7, 7, 8, 6, 6, 6, 7, 8, 9, 10, 9, 7, 4, 2, 1)
# payments in a busy report, and the median of one payment in dong with its spread (of the logarithm)
_SIZE = {
    "school": (3, 650_000, 0.7),
    "hospital": (5, 280_000, 0.9),
    "supermarket": (7, 185_000, 0.8),
    "convenience_store": (3, 42_000, 0.7),
    "market": (4, 55_000, 0.8),
    "government": (2, 90_000, 0.9),
}
_OTHER_SIZE = (2, 80_000, 0.8)
_PROVIDERS = ("napas", "vietcombank", "bidv", "agribank", "vietinbank", "mbbank", "momo", "zalopay")
_PROVIDER_WEIGHTS = (0.24, 0.16, 0.14, 0.14, 0.10, 0.10, 0.08, 0.04)
_FAILURE = 0.02
_BAD_MINUTE = 0.003  # a bank is down now and then, for all at once
_CLOSED_ON_WEEKENDS = ("school", "government")


class Payments:
    """Makes QR reports; has no state beyond how busy each merchant is."""

    stream = STREAM

    def __init__(self, city: City, seed: int) -> None:
        order = list(city.merchants)
        Random(seed).shuffle(order)  # noqa: S311  # a simulation, not a secret
        self._merchants = order
        self._weights = [1 / (rank + 5) ** 0.5 for rank in range(len(order))]
        self._seed = seed
        self._chosen_for: tuple[int, int] | None = None
        self._cumulated: list[float] = []

    def intensity(self, moment: SimulatedMoment) -> float:
        """How much happens, as a share of the busiest hour."""
        return curve(_OTHER, moment.hour) / 10 * (1.15 if moment.weekend else 1.0)

    def event(self, rng: Random, moment: SimulatedMoment) -> dict[str, Any]:
        """One report at this moment, without its id and time."""
        merchant = self._merchant(rng, moment)
        payments, median, spread = _SIZE.get(merchant.merchant_category, _OTHER_SIZE)
        provider = rng.choices(_PROVIDERS, _PROVIDER_WEIGHTS)[0]
        tried = 1 + int(rng.expovariate(1 / (payments * (0.3 + _open(merchant, moment)))))
        failing = self._provider_down(provider, moment)
        failed = sum(rng.random() < (0.7 if failing else _FAILURE) for _ in range(tried))
        amount = sum(
            max(1000, round(median * rng.lognormvariate(0, spread) / 1000) * 1000)
            for _ in range(tried - failed)
        )
        return {
            "ward_code": merchant.ward_code,
            "merchant_id": merchant.merchant_id,
            "merchant_category": merchant.merchant_category,
            "provider": provider,
            "succeeded": tried - failed,
            "failed": failed,
            "amount_vnd": amount,
        }

    def _provider_down(self, provider: str, moment: SimulatedMoment) -> bool:
        # the same for all of a minute, whatever else was drawn before
        minute = xxhash.xxh32_intdigest(f"{self._seed}/{provider}/{moment.ms // 60_000}".encode())
        return minute < _BAD_MINUTE * 2**32

    def _merchant(self, rng: Random, moment: SimulatedMoment) -> Merchant:
        quarter = (moment.day, int(moment.hour * 4))
        if quarter != self._chosen_for:
            self._chosen_for = quarter
            total, self._cumulated = 0.0, []
            for merchant, weight in zip(self._merchants, self._weights, strict=True):
                total += weight * (_open(merchant, moment) + 0.001)
                self._cumulated.append(total)
        return rng.choices(self._merchants, cum_weights=self._cumulated)[0]


def _open(merchant: Merchant, moment: SimulatedMoment) -> float:
    if moment.weekend and merchant.merchant_category in _CLOSED_ON_WEEKENDS:
        return 0.0
    busy = curve(_TENTHS.get(merchant.merchant_category, _OTHER), moment.hour) / 10
    return busy * (
        2.0 if merchant.merchant_category == "market" and market_day(merchant.ward_code, moment) else 1.0
    )
