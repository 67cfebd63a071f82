"""The simulated day: the same for the same seed, valid where it should be, and like a city."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from random import Random

import orjson
import pytest

from infra.demo.simulate.city import tuyen_quang
from infra.demo.simulate.generate import STREAMS, LoadPlan, Sent, SimulationError, simulate
from infra.demo.simulate.mischief import GARBAGE
from infra.demo.simulate.send import SendCounts, send_in_time
from infra.kafka.lines import LineReader
from schemas.codec import Bundle, Codec
from streams.registry import load_streams

HOUR_MS = 3_600_000
MONDAY = 1_763_917_200_000  # 2025-11-24 00:00 in Vietnam
SPECS = load_streams()
CODECS = {name: Codec(spec.event) for name, spec in SPECS.items()}
DISORDER_MS = 3000


def day(**options: float) -> list[Sent]:
    """A Monday at an event every five seconds."""
    plan = LoadPlan(start_ms=MONDAY, duration_ms=24 * HOUR_MS, rate=0.2, **options)  # type: ignore[arg-type]  # floats
    return list(simulate(tuyen_quang(), plan))


def hour_of(sent: Sent) -> int:
    """The hour of the city's day in which a message is sent."""
    return (sent.send_ms - MONDAY) // HOUR_MS


@pytest.fixture(scope="module")
def monday() -> list[Sent]:
    """One day without mischief."""
    return day()


def test_the_same_seed_gives_the_same_day() -> None:
    """To the last byte; another seed or start gives other ids."""
    plan = LoadPlan(start_ms=MONDAY, seed=7, duplicates=0.1, late=0.1, garbage=0.1)
    first, again = (list(islice(simulate(tuyen_quang(), plan), 500)) for _ in range(2))
    assert first == again
    other = next(simulate(tuyen_quang(), LoadPlan(start_ms=MONDAY, seed=8)))
    assert other.value != first[0].value


def test_every_event_is_valid_and_of_the_city(monday: list[Sent]) -> None:
    """Events pass the schema, and name cameras, merchants and offices of the reference tables."""
    city = tuyen_quang()
    known = {
        "camera": {c.camera_id for c in city.cameras},
        "qr": {m.merchant_id for m in city.merchants},
        "service": {o.office_code for o in city.offices},
    }
    field = {"camera": "camera_id", "qr": "merchant_id", "service": "office_code"}
    for sent in monday[::10]:
        event = CODECS[sent.stream].decode(sent.value)
        assert not isinstance(event, Bundle), event.refusals
        assert getattr(event, field[sent.stream]) in known[sent.stream]


def test_messages_come_in_the_order_of_sending() -> None:
    """Also when some are sent again later."""
    times = [s.send_ms for s in day(duplicates=0.2, garbage=0.1)]
    assert times == sorted(times)


def test_the_rate_is_the_mean() -> None:
    """Whatever the hour at which it begins."""
    for start in (MONDAY + 3 * HOUR_MS, MONDAY + 7 * HOUR_MS):
        plan = LoadPlan(start_ms=start, duration_ms=60_000, rate=50)
        assert sum(1 for _ in simulate(tuyen_quang(), plan)) == pytest.approx(3000, rel=0.1)


def test_the_city_has_rush_hours_and_office_hours(monday: list[Sent]) -> None:
    """Vehicles and office work by the hour.

    hour   0   3   7   9   12   17   20
    camera .   .   ##  #   #    ##   #
    office .   .   .   ##  .    .    .
    """
    by_hour = {name: Counter(hour_of(s) for s in monday if s.stream == name) for name in STREAMS}
    camera, service = by_hour["camera"], by_hour["service"]
    assert camera[7] > 1.2 * camera[9] > 5 * camera[3]
    assert camera[17] > camera[14]
    assert service[9] > 4 * service[12]
    assert service[9] > 10 * service[3]


def test_offices_are_closed_on_sunday() -> None:
    """Only the online portal is open."""
    sunday = LoadPlan(start_ms=MONDAY - 16 * HOUR_MS, duration_ms=HOUR_MS, rate=0.5, streams=("service",))
    channels = {
        orjson.loads(s.value)["channel"] for s in simulate(tuyen_quang(), sunday) if b"submitted" in s.value
    }
    assert channels == {"online"}


def test_events_are_out_of_order_no_more_than_allowed(monday: list[Sent]) -> None:
    """Each is sent within the disorder after it happened, some of them after a later one."""
    occurred = [orjson.loads(s.value)["occurred_at"] for s in monday]
    delays = [s.send_ms - t for s, t in zip(monday, occurred, strict=True)]
    assert 0 <= min(delays) <= max(delays) <= DISORDER_MS
    assert occurred != sorted(occurred)


def test_duplicates_keep_id_time_and_bytes() -> None:
    """About the share asked for, none lost at the end."""
    sent = day(duplicates=0.2)
    times = Counter(s.value for s in sent)
    again = sum(n - 1 for n in times.values())
    assert again == pytest.approx(0.2 * len(times), rel=0.1)
    assert max(times.values()) == 2


def test_late_events_come_after_the_disorder_that_is_allowed() -> None:
    """Three to fifteen minutes after they happened, about as many as asked for."""
    sent = day(late=0.1)
    delays = [s.send_ms - orjson.loads(s.value)["occurred_at"] for s in sent]
    late = [d for d in delays if d > DISORDER_MS]
    assert len(late) == pytest.approx(0.1 * len(sent), rel=0.15)
    assert 180_000 <= min(late) <= max(late) < 900_000


def valid_event() -> dict[str, object]:
    """A camera event of the simulation."""
    sent = next(simulate(tuyen_quang(), LoadPlan(start_ms=MONDAY, streams=("camera",))))
    event: dict[str, object] = orjson.loads(sent.value)
    return event


@pytest.mark.parametrize("kind", [k for k in GARBAGE if k != "future time"])
def test_garbage_is_refused(kind: str) -> None:
    """Each kind is one refusal, and survives a file of lines."""
    for seed in range(20):
        value = GARBAGE[kind](Random(seed), valid_event())
        decoded = CODECS["camera"].decode(value)
        assert isinstance(decoded, Bundle), value
        assert (len(decoded.events), len(decoded.refusals)) == (0, 1)
        assert b"\n" not in value


def test_future_garbage_lies_beyond_any_skew() -> None:
    """It is valid by itself; only the broker's clock shows that it can't be."""
    event = valid_event()
    future = orjson.loads(GARBAGE["future time"](Random(1), event))
    assert future["occurred_at"] == event["occurred_at"] + HOUR_MS  # type: ignore[operator]  # an integer


@pytest.mark.parametrize(
    "options",
    [{"rate": 0}, {"late": 1.5}, {"garbage": -0.1}, {"disorder_s": -1}, {"streams": ("x",)}, {"streams": ()}],
)
def test_what_can_not_be_simulated_is_refused(options: dict[str, object]) -> None:
    """Before anything is sent."""
    with pytest.raises(SimulationError):
        LoadPlan(start_ms=MONDAY, **options)  # type: ignore[arg-type]  # wrong on purpose


class Recorder:
    """A sender that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Keep topic and key."""
        del value
        self.sent.append((topic, key))


def messages(*at_ms: int) -> Iterator[Sent]:
    """Events of one camera, sent at these times."""
    for n, ms in enumerate(at_ms):
        yield Sent(ms, n, "camera", b'{"camera_id": "c"}', True)


def test_messages_are_sent_when_their_time_has_come() -> None:
    """Past ones at once, future ones after a sleep; keyed by the stream's key."""
    clock, recorder, tally = [1000], Recorder(), SendCounts()

    def sleep(seconds: float) -> None:
        clock[0] += round(seconds * 1000)

    readers = {"camera": LineReader(SPECS["camera"], CODECS["camera"], None)}
    send_in_time(messages(500, 1000, 4000), readers, recorder, tally, lambda: clock[0], sleep)
    assert recorder.sent == [("camera.events", b"c")] * 3
    assert (clock[0], tally.messages, tally.behind_ms) == (4000, 3, 0)


def test_sending_stops_when_asked_to() -> None:
    """A sleep that is interrupted ends it, without the message that was waited for."""
    recorder, tally = Recorder(), SendCounts()
    readers = {"camera": LineReader(SPECS["camera"], CODECS["camera"], None)}
    send_in_time(messages(0, 99), readers, recorder, tally, lambda: 0, lambda _: True)
    assert tally.messages == 1
