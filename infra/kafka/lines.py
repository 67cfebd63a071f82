"""Lines of a file to Kafka messages: what `produce` sends, and what it refuses.

A line holds one event, or a JSON array of events (a bundle), which is sent in as many messages as its events
have homes. Reading and checking only, no Kafka here.
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

import orjson
import xxhash

from schemas.codec import Bundle, Codec, raw_events
from schemas.event import Event
from streams.spec import StreamSpec

MAX_MESSAGE_BYTES = 8_000_000
"""The longest line that is sent; topics allow a little more, for what Kafka adds to it."""

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class LineMessage:
    """What one line becomes: `events` is how many it holds, 0 where that is not known (raw).

    `keys` are those of the events of a bundle, one by one, where they are not all the message's own.
    """

    key: bytes
    value: bytes
    events: int
    keys: tuple[bytes, ...] = ()

    def at_home(self, home: Callable[[bytes], int]) -> Sequence["LineMessage"]:
        """The messages that it is sent as, in each the events of one home, in their order.

        `home` gives the partition of a key, which each message's own key has as well.
        """
        if not self.keys:
            return (self,)
        places: dict[int, list[int]] = {}
        for index, key in enumerate(self.keys):
            places.setdefault(home(key), []).append(index)
        if len(places) == 1:
            return (self,)
        events = raw_events(self.value)
        return [
            LineMessage(self.keys[some[0]], b"[" + b",".join(events[i] for i in some) + b"]", len(some))
            for some in places.values()
        ]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an event is not sent. `line` counts from 1; `index` is its place in a bundle, None without one."""

    line: int
    index: int | None
    field: str
    reason: str

    def __str__(self) -> str:
        place = f"line {self.line}" if self.index is None else f"line {self.line}, event {self.index + 1}"
        return f"{place}: {self.field}: {self.reason}" if self.field else f"{place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LineReader:
    """Makes messages of lines, for one stream.

    With `latest_ms` every event must be valid and not later than that; a bundle is refused as a whole.
    Without it (raw) each line is sent as it is, to its first event's home; one that is too long is refused.
    """

    spec: StreamSpec
    codec: Codec[Event]
    latest_ms: int | None

    def read(self, line: int, value: bytes) -> LineMessage | list[Problem] | None:
        """The message of a line, why it is refused, or None for a blank line (which raw sends, too)."""
        if len(value) > MAX_MESSAGE_BYTES:
            what = f"{len(value):,} bytes, more than the {MAX_MESSAGE_BYTES:,} that a message may have"
            return [Problem(line, None, "", what)]
        if self.latest_ms is None:
            return LineMessage(self._raw_key(value), value, 0)
        if not value or value.isspace():
            return None
        return self._checked(line, value, self.latest_ms)

    def _checked(self, line: int, value: bytes, latest_ms: int) -> LineMessage | list[Problem]:
        decoded = self.codec.decode(value)
        if not isinstance(decoded, Bundle):
            if decoded.occurred_at > latest_ms:
                return [Problem(line, None, "occurred_at", _too_far(decoded.occurred_at - latest_ms))]
            return LineMessage(self._key(decoded), value, 1)
        # a refusal of the whole line blames no event of it
        problems = [
            Problem(line, r.index if len(r.raw) < len(value) else None, r.field, r.reason)
            for r in decoded.refusals
        ]
        bundle = value.lstrip()[:1] == b"["
        problems += [
            Problem(line, index if bundle else None, "occurred_at", _too_far(event.occurred_at - latest_ms))
            for index, event in decoded.events
            if event.occurred_at > latest_ms
        ]
        if problems:
            return problems
        keys = tuple(self._key(event) for _, event in decoded.events)
        return LineMessage(keys[0], value, len(keys), keys if len({*keys}) > 1 else ())

    def _key(self, event: Event) -> bytes:
        return cast(str, getattr(event, self.spec.key)).encode()

    def _raw_key(self, value: bytes) -> bytes:
        """The key that a valid event of these bytes has, so that it is sent home like any other."""
        decoded = self.codec.decode(value)
        if not isinstance(decoded, Bundle):
            return self._key(decoded)
        if decoded.events:
            return self._key(decoded.events[0][1])
        try:
            loose: Any = orjson.loads(value)
        except orjson.JSONDecodeError:
            loose = None
        for element in loose if isinstance(loose, list) else [loose]:
            key = element.get(self.spec.key) if isinstance(element, dict) else None
            if isinstance(key, str) and key:
                return key.encode()
        return xxhash.xxh3_64_hexdigest(value).encode()


def lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines of a seekable stream, plain or gzip: split at LF only, all other bytes untouched.

    Raises OSError or EOFError when gzip data is damaged or cut off.
    """
    plain = _plain(stream)
    number = 0
    pieces: list[bytes] = []
    while chunk := plain.read(_CHUNK):
        first, *others = chunk.split(b"\n")
        pieces.append(first)
        for line in others:
            number += 1
            yield number, b"".join(pieces)
            pieces = [line]
    if rest := b"".join(pieces):
        yield number + 1, rest


def _plain(stream: IO[bytes]) -> IO[bytes]:
    """The stream itself, or what its gzip holds, from the beginning; it must be seekable."""
    stream.seek(0)
    magic = stream.read(len(_GZIP_MAGIC))
    stream.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb")) if magic == _GZIP_MAGIC else stream


def _too_far(ahead_ms: int) -> str:
    return f"{ahead_ms / 1000:,.1f} s further in the future than the allowed skew"
