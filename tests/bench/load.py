"""The events of a benchmark, and their windows computed straight from them.

Deterministic: the same load is the same bytes in every process. In time order but for up to four seconds,
as cameras are that send over a city's lines.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from zlib import crc32

from streams.core.home import partition_of

T0_MS = 1_715_587_200_000
MINUTE_MS = 60_000
DISORDER_MS = 4096
WARDS = (
    "02200", "02203", "02206", "02209", "02212", "02215",
    "02216", "02218", "02509", "02512", "02515", "02524",
)  # fmt: skip
CLASSES = ("motorbike", "car", "truck", "bus", "bicycle")
DIRECTIONS = ("north", "east", "south", "west")

# where clients send a key, of so many partitions: Kafka's own ones, and librdkafka as it comes
MURMUR2, CRC32 = "murmur2", "crc32"
PARTITIONERS: Mapping[str, Callable[[bytes, int], int]] = MappingProxyType(
    {MURMUR2: partition_of, CRC32: lambda key, partitions: crc32(key) % partitions}
)

# (camera index, minute index) -> (events, sum of speeds, highest speed), speeds in tenths of km/h
Windows = dict[tuple[int, int], tuple[int, int, int]]
# camera index, time in ms, speed in tenths of km/h, confidence in hundredths
Reading = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Load:
    """A topic of `events` camera events, one per message, over `keys` cameras (at most a million).

    One camera watches one lane, so that a window per camera is the same thing to every contender.
    `per_second` is the rate in event time; `partitioner` is the one of its sender.
    """

    events: int
    keys: int = 436
    partitions: int = 6
    per_second: int = 500
    seed: int = 1
    partitioner: str = MURMUR2

    @property
    def topic(self) -> str:
        """A name for each load, so that a topic is made once."""
        name = f"bench.camera.{self.events}.{self.keys}.{self.partitions}.{self.per_second}.{self.seed}"
        return name if self.partitioner == MURMUR2 else f"{name}.{self.partitioner}"

    @property
    def end_ms(self) -> int:
        """The time of the last event, before disorder."""
        return T0_MS + (self.events - 1) * 1000 // self.per_second

    def partition_of(self, key: bytes) -> int:
        """Where the sender sends this key."""
        return PARTITIONERS[self.partitioner](key, self.partitions)


def camera_id(index: int) -> str:
    """The camera's id, which is also its key."""
    return f"cam-{WARDS[index % 12]}-{index:06d}"


def camera_index(name: str) -> int:
    """The index of `camera_id`."""
    return int(name[-6:])


def readings(load: Load) -> Iterator[Reading]:
    """What the cameras see, in the order in which it is sent."""
    bits, keys, rate = Random(load.seed).getrandbits, load.keys, load.per_second  # noqa: S311  # a seeded load
    for i in range(load.events):
        r = bits(64)
        at_ms = T0_MS + i * 1000 // rate - (r & 4095)
        speed = 50 + (r >> 12 & 255) + (r >> 20 & 255)
        yield (r >> 32) * keys >> 32, at_ms, speed, 40 + (r >> 28 & 15) * 4 - (r >> 12 & 3)


def message(number: int, reading: Reading) -> bytes:
    """The message of the load's `number`th reading; about 213 bytes."""
    camera, at_ms, speed, confidence = reading
    ward = WARDS[camera % 12]
    return (
        f'{{"event_id":"c-{ward}-{camera:06d}-{number:010d}","occurred_at":{at_ms},"ward_code":"{ward}",'
        f'"camera_id":"cam-{ward}-{camera:06d}","kind":"vehicle","object_class":"{CLASSES[camera % 5]}",'
        f'"speed_kmh":{speed // 10}.{speed % 10},"confidence":0.{confidence:02d},'
        f'"direction":"{DIRECTIONS[camera % 4]}"}}'
    ).encode()


def windows(load: Load) -> Windows:
    """Every window of the load, from the readings alone."""
    found: dict[tuple[int, int], list[int]] = {}
    for camera, at_ms, speed, _ in readings(load):
        key = (camera, (at_ms - T0_MS) // MINUTE_MS)
        window = found.get(key)
        if window is None:
            found[key] = [1, speed, speed]
        else:
            window[0] += 1
            window[1] += speed
            if speed > window[2]:
                window[2] = speed
    return {key: (n, total, highest) for key, (n, total, highest) in found.items()}


def difference(load: Load, expected: Windows, got: Windows, *, complete: bool) -> str:
    """What is wrong with a contender's windows; '' when nothing is.

    One that is not `complete` shows a window when it closes: those still open when the log ends may be
    missing, but not be wrong, and a load in which none closes proves nothing.
    """
    for key, window in got.items():
        if expected.get(key) != window:
            return f"window {key} is {window}, expected {expected.get(key)}"
    open_from = (load.end_ms - T0_MS - 2 * MINUTE_MS - DISORDER_MS) // MINUTE_MS
    needed = [key for key in expected if complete or key[1] < open_from]
    if not needed:
        return f"no window closes within {load.events:,} events: take more"
    missing = [key for key in needed if key not in got]
    return f"{len(missing)} windows are missing, {missing[0]} is one of them" if missing else ""
