"""The demo: three hours of real junctions up to now, then a simulated city, for ever.

`python -m infra.demo.run` runs until SIGTERM or Ctrl-C; it feeds Kafka only, and can be killed and run again.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from threading import Event

import orjson

from infra.demo.sample import junction_events
from infra.demo.simulate.city import tuyen_quang
from infra.demo.simulate.generate import LoadPlan, simulate
from infra.demo.simulate.moment import SimulatedMoment, between
from infra.demo.simulate.send import SendCounts, send_in_time
from infra.kafka.lines import LineMessage, LineReader
from infra.kafka.producer import Producer
from infra.operate.reads import http_server, rows
from infra.settings.addresses import kafka_access
from infra.settings.environment import load_settings
from infra.settings.values import Settings
from schemas.codec import Codec
from streams.registry import load_streams
from streams.sink import SinkError

RATE = 150.0
# by night little happens: then the city's clock is set to the morning rush, so that there is something to see
_WAKING = (6.0, 20.0)
_MORNING = 7.0
_STRIDE = 500
_HOUR_MS = 3_600_000


def run_demo(settings: Settings, stopped: Event) -> SendCounts:
    """Replay the sample, then simulate until `stopped` is set; what was sent."""
    specs = load_streams()
    readers = {name: LineReader(spec, Codec(spec.event), None) for name, spec in specs.items()}
    tally = SendCounts()
    with Producer(kafka_access(settings)) as producer:
        now_ms = _now_ms()
        began = time.monotonic()
        for message in _junctions(readers["camera"], now_ms, _watermark(settings)):
            if tally.messages % _STRIDE == 0 and stopped.is_set():
                return tally
            producer.send(readers["camera"].spec.topic, message.key, message.value)
            tally.messages += 1
        producer.flush()
        _say(f"{tally.messages:,} events of real junctions sent in {time.monotonic() - began:.1f} s")
        start_ms = _now_ms()
        plan = LoadPlan(
            start_ms=start_ms,
            seed=start_ms,
            rate=RATE,
            duplicates=0.01,
            late=0.002,
            garbage=0.001,
            ahead_ms=_ahead_ms(start_ms),
        )
        _say(f"simulating the city, {RATE:.0f} events a second on a day's average")
        send_in_time(simulate(tuyen_quang(), plan), readers, producer, tally, _now_ms, stopped.wait)
    return tally


def _junctions(reader: LineReader, end_ms: int, after_ms: int) -> Iterator[LineMessage]:
    for event in junction_events(tuyen_quang().cameras, end_ms, f"{end_ms:x}"):
        # what is before the watermark has had its time: an earlier demo has filled it
        if event["occurred_at"] < after_ms:
            continue
        message = reader.read(0, orjson.dumps(event))
        if isinstance(message, LineMessage):
            yield message


def _watermark(settings: Settings) -> int:
    """Up to when the camera windows of this home are closed, epoch milliseconds; 0 when none is."""
    query = "SELECT toUnixTimestamp64Milli(max(watermark)) AS ms FROM stream_progress WHERE stream = 'camera'"
    try:
        found = rows(http_server(settings), query)
    except SinkError as e:
        _say(f"replaying all, since the watermark can't be read: {e}")
        return 0
    return int(found[0]["ms"]) if found else 0


def _ahead_ms(now_ms: int) -> int:
    moment = SimulatedMoment.at(now_ms)
    if between(moment, _WAKING):
        return 0
    return int((_MORNING - moment.hour) % 24 * _HOUR_MS)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Run the demo with the settings of the environment."""
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    tally = run_demo(load_settings(os.environ), stopped)
    _say(f"{tally.messages:,} messages sent, {tally.broken:,} of them broken on purpose")
    sys.exit(0)


if __name__ == "__main__":
    main()
