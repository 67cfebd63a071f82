"""Dead letters on a real broker and engine: looked at, corrected, sent again, and counted once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from sinks.letter_store import ClickHouseLetters
from sinks.letters import Action
from streams.sink import SinkUnavailable
from tests.support.clickhouse import ask
from tests.support.commands import Commands
from tests.support.events import camera_event, message
from tests.support.kafka import cut
from tests.support.oracle import totals
from tests.support.workers import River, river

Message = tuple[bytes, bytes]


@pytest.fixture
def stream(stack: Any, tmp_path: Path) -> Iterator[River]:
    """A topic, a database, and no worker yet."""
    with river(stack, tmp_path) as made:
        yield made


@pytest.fixture
def songlo(
    stack: Any, stream: River, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Commands:
    """The command line."""
    return Commands(stream, stack.clickhouse_http, {"camera": stream.name}, monkeypatch, capfd)


def event(n: int, **fields: object) -> dict[str, object]:
    """A camera event every ten seconds, so that some are late when they come again."""
    return camera_event(f"e{n}", n * 10, camera_id=f"cam-{n % 9}", **fields)


def keyed(n: int, **fields: object) -> Message:
    """As its producer sends it."""
    return f"cam-{n % 9}".encode(), message(event(n, **fields))


def asked(songlo: Commands, *args: str, status: int = 0) -> Any:
    """What a command of `songlo dlq` answers in JSON."""
    assert songlo("dlq", *args, "--json") == status
    return json.loads(songlo.out)


def settled(stream: River, songlo: Commands) -> tuple[int, int]:
    """Events that analysts see, and duplicates found, once all is folded."""
    assert songlo("drain", "--timeout", "90") == 0
    ((duplicates,),) = ask(stream.server, "SELECT sum(duplicates) FROM stream_progress")
    return sum(events for events, _ in stream.totals().values()), int(duplicates)


def test_the_life_of_dead_letters(
    stream: River, songlo: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every letter is replayed once, twice or after a crash; every event counts once.

    60 good · 10 of a wrong kind · 5 with a plate · 3 that are no JSON · 1 that is noise
    """
    good = [keyed(n) for n in range(60)]
    kinds = [keyed(n, kind="xe") for n in range(60, 70)]
    plates = [keyed(n, plate="22A-123.45") for n in range(70, 75)]
    broken = [(f"cam-{n % 9}".encode(), b"{" + message(event(n))) for n in range(75, 78)]
    noise = (b"?", b"\x1b[31m noise \x07")
    stream.produce([*good, *kinds, *plates, *broken, noise])
    stream.start()
    assert settled(stream, songlo) == (60, 0)

    assert songlo("dlq", "list") == 0
    assert songlo.out.endswith("19 dead letters\n")
    assert max(map(len, songlo.out.splitlines())) <= 80
    (place,) = [letter["place"] for letter in asked(songlo, "list")["letters"] if "noise" in letter["raw"]]
    assert songlo("dlq", "show", place) == 0
    assert "\\x1b[31m noise \\x07" in songlo.out
    assert songlo("dlq", "show", place, "--raw") == 0
    assert songlo.out.encode() == noise[1]

    wrong_kinds = ("replay", "--reason", "MUST BE ONE OF", "--set", "kind=vehicle")
    before = stream.ends()
    assert asked(songlo, *wrong_kinds)["sent"] == 10
    assert stream.ends() == before
    assert asked(songlo, *wrong_kinds, "--apply")["sent"] == 10
    assert settled(stream, songlo) == (70, 0)
    assert asked(songlo, *wrong_kinds, "--apply")["sent"] == 0
    assert asked(songlo, *wrong_kinds, "--apply", "--again")["sent"] == 10
    assert settled(stream, songlo) == (70, 10)

    with_plates = ("replay", "--field", "plate", "--unset", "plate", "--apply")
    with monkeypatch.context() as broken_off:
        break_off_after_sending(broken_off)
        assert songlo("dlq", *with_plates) == 1
    assert settled(stream, songlo) == (75, 10)
    assert {letter["state"] for letter in asked(songlo, "list", "--field", "plate")["letters"]} == {
        "replaying"
    }
    assert songlo("dlq", *with_plates) == 0
    assert "5 of them may have been sent when a replay broke off" in songlo.err
    assert settled(stream, songlo) == (75, 15)

    to_correct = tmp_path / "wrong.ndjson"
    assert songlo("dlq", "replay", "--save", str(to_correct)) == 0
    lines = [orjson.loads(line) for line in to_correct.read_bytes().splitlines()]
    assert len(lines) == 4
    for line in lines:
        if "noise" not in line["raw"]:
            line["event"] = orjson.loads(line["raw"][1:])
    to_correct.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    assert asked(songlo, "replay", "--file", str(to_correct), "--apply")["sent"] == 3
    assert settled(stream, songlo) == (78, 15)
    assert stream.totals() == totals([message(event(n)) for n in range(78)])
    assert stream.conserved()

    assert songlo("dlq", "discard", "--reason", "broken json", "--because", "nhiễu trên đường dây") == 0
    assert asked(songlo, "list")["total"] == 0
    (noisy,) = asked(songlo, "list", "--state", "discarded")["letters"]
    assert (noisy["place"], noisy["note"]) == (place, "nhiễu trên đường dây")
    assert asked(songlo, "list", "--state", "all")["total"] == 19


def test_an_event_of_a_bundle_meets_its_bundle(stream: River, songlo: Commands) -> None:
    """It goes home, and so do the events of the corrected bundle that its gateway sends again."""
    wrong, right = [message(event(0), event(4, kind=kind), event(8)) for kind in ("xe", "vehicle")]
    stream.produce([(b"gateway-1", wrong)])
    stream.start()
    assert settled(stream, songlo) == (2, 0)
    assert asked(songlo, "replay", "--set", "kind=vehicle", "--apply")["sent"] == 1
    assert settled(stream, songlo) == (3, 0)
    stream.produce([(b"gateway-1", right)])
    assert songlo("drain", "--timeout", "90") == 0
    assert stream.totals() == totals([right])


def test_what_is_only_noted_is_fetched_from_kafka(stream: River, songlo: Commands) -> None:
    """3,000 events of a gateway, most in bundles: a thousand letters, the others on demand; all replayed."""
    wrong = [[event(n, kind="xe") for n in range(first, first + 300)] for first in range(0, 3000, 300)]
    bundles = [(b"gateway-1", message(*events)) for events in wrong]
    stream.produce([keyed(5000), *bundles, keyed(5001)])
    stream.start()
    assert settled(stream, songlo) == (2, 0)
    asked_for = asked(songlo, "list", "--limit", "1")
    assert asked_for["total"] + asked_for["noted"] == 3000
    assert 1000 <= asked_for["total"] <= 2000
    assert songlo("dlq", "list") == 0
    assert songlo.out.endswith(f"{asked_for['noted']:,} more are noted in the log: songlo dlq fetch\n")
    assert stream.conserved() is False
    assert all_dead_are_stored(stream)

    assert asked(songlo, "fetch", "--limit", "10") == {"fetched": 10, "gone": 0, "accepted": 0, "failed": []}
    assert all_dead_are_stored(stream)
    assert songlo("dlq", "fetch", "--stream", "camera") == 0
    assert songlo.out == f"{asked_for['noted'] - 10:,} fetched; `songlo dlq list` shows them\n"
    assert asked(songlo, "fetch")["fetched"] == 0
    assert asked(songlo, "list")["total"] == 3000
    assert all_dead_are_stored(stream)
    assert asked(songlo, "replay", "--set", "kind=vehicle", "--apply")["sent"] == 3000
    assert settled(stream, songlo) == (3002, 0)

    ask(stream.server, "TRUNCATE TABLE dead_letters")
    cut(stream.stack.brokers, {(stream.name, p): end for p, end in stream.ends().items()})
    assert songlo("dlq", "fetch") == 1
    assert f"{asked_for['noted']:,} are no longer in Kafka" in songlo.err


def all_dead_are_stored(stream: River) -> bool:
    """Whether each refused event is there as a letter, noted, or both."""
    return ask(stream.server, "SELECT countIf(dead_stored != dead) FROM conservation") == [(0,)]


def break_off_after_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first mark is written, the second is not: as if the process had died between the two."""
    mark, marks = ClickHouseLetters.mark, iter([True])

    def once(letters: ClickHouseLetters, actions: list[Action]) -> None:
        if not next(marks, False):
            raise SinkUnavailable("killed")
        mark(letters, actions)

    monkeypatch.setattr(ClickHouseLetters, "mark", once)
