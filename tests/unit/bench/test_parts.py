"""The bench's own parts: a load that is the same for all, a check that sees what is wrong."""

import os
import subprocess
from dataclasses import replace

import pytest

from schemas.camera import CameraEvent
from schemas.codec import Codec
from schemas.event import epoch_ms
from tests.bench import processes
from tests.bench.contenders import CONTENDERS, MAIN, choose
from tests.bench.environment import PEERS
from tests.bench.latency import quantile
from tests.bench.load import CRC32, Load, camera_id, camera_index, difference, message, readings, windows
from tests.bench.processes import pin, tree, usage, wait_quiet

LOAD = Load(5000, keys=20, per_second=10)


def test_a_load_is_the_same_each_time() -> None:
    """A topic may be kept between runs, since its bytes would come out alike."""
    once = [message(n, r) for n, r in enumerate(readings(LOAD))]
    assert once == [message(n, r) for n, r in enumerate(readings(LOAD))]
    assert once != [message(n, r) for n, r in enumerate(readings(replace(LOAD, seed=2)))]


def test_a_load_goes_where_its_sender_sends() -> None:
    """By Kafka's own partitioner unless said otherwise, and each to a topic of its own."""
    astray = replace(LOAD, partitioner=CRC32)
    # murmur2 of `21` is -973932308 in Kafka's own tests; of CRC32 this is the check value
    assert LOAD.partition_of(b"21") == (-973932308 & 0x7FFFFFFF) % 6
    assert astray.partition_of(b"123456789") == 0xCBF43926 % 6
    assert astray.topic != LOAD.topic


def test_messages_are_valid_unique_and_as_long_as_said() -> None:
    """Each message is a camera event of about 213 bytes with an id of its own."""
    codec = Codec(CameraEvent)
    messages = [message(n, r) for n, r in enumerate(readings(LOAD))]
    events = [codec.decode(m) for m in messages]
    assert all(isinstance(e, CameraEvent) for e in events)
    assert len({e.event_id for e in events if isinstance(e, CameraEvent)}) == LOAD.events
    assert 205 < sum(map(len, messages)) / len(messages) < 220


def test_windows_are_those_of_the_messages() -> None:
    """Windows computed from the readings equal those counted from the messages that are sent."""
    codec, counted = Codec(CameraEvent), dict[tuple[int, int], int]()
    for n, r in enumerate(readings(LOAD)):
        event = codec.decode(message(n, r))
        assert isinstance(event, CameraEvent)
        key = (camera_index(event.camera_id), (epoch_ms(event.occurred_at) - 1_715_587_200_000) // 60_000)
        counted[key] = counted.get(key, 0) + 1
    assert counted == {key: window[0] for key, window in windows(LOAD).items()}


@pytest.mark.parametrize("index", [0, 11, 435, 999_999])
def test_a_camera_is_found_by_its_id(index: int) -> None:
    """The id leads back to the index."""
    assert camera_index(camera_id(index)) == index


def test_a_wrong_window_and_a_missing_one_are_seen() -> None:
    """One event too many and a missing window are named; an open one may miss where only closed count."""
    expected = windows(LOAD)
    first, last = min(expected, key=lambda k: k[1]), max(expected, key=lambda k: k[1])
    events, total, top = expected[first]
    without_first = {k: v for k, v in expected.items() if k != first}
    without_last = {k: v for k, v in expected.items() if k != last}
    for complete in (True, False):
        assert difference(LOAD, expected, dict(expected), complete=complete) == ""
        wrong = {**expected, first: (events + 1, total, top)}
        assert "expected" in difference(LOAD, expected, wrong, complete=complete)
        assert "1 windows are missing" in difference(LOAD, expected, without_first, complete=complete)
    assert difference(LOAD, expected, without_last, complete=False) == ""
    assert "1 windows are missing" in difference(LOAD, expected, without_last, complete=True)


def test_a_load_in_which_nothing_closes_proves_nothing() -> None:
    """A contender that shows closed windows only can't pass by showing none."""
    short = Load(1000, per_second=10)
    assert "take more" in difference(short, windows(short), {}, complete=False)
    assert "missing" in difference(short, windows(short), {}, complete=True)


def test_contenders_are_chosen_by_letter_or_name() -> None:
    """A letter stands for all that begin with it; an unknown one is named with those that there are."""
    assert [c.name for c in choose("g,a")] == ["a", "g"]
    assert [c.name for c in choose("f")] == ["f1", "f2", "f3", "f4"]
    assert choose("") == list(CONTENDERS)
    with pytest.raises(ValueError, match="no contender z"):
        choose("a,z")


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda c: c.name)
def test_a_contender_has_its_script_and_its_pinned_packages(contender: object) -> None:
    """Every script is there; every package of its environment has one version."""
    assert (PEERS / contender.script).exists()  # type: ignore[attr-defined]
    pins = PEERS / "environments" / f"{contender.environment}.txt"  # type: ignore[attr-defined]
    if contender.environment not in (MAIN, "java"):  # type: ignore[attr-defined]
        assert all("==" in line for line in pins.read_text(encoding="ascii").split())


def test_usage_counts_this_process() -> None:
    """Processor time and memory of a process that is surely there."""
    used = usage(os.getpid())
    assert used.cpu_seconds > 0
    assert used.peak_mb > 5
    assert os.getpid() in tree(os.getpid())


def test_quantiles_are_values_that_were_seen() -> None:
    """Nearest rank, never beyond the last."""
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0], 0.99) == 1.0


def test_a_process_and_its_threads_stay_on_their_cores() -> None:
    """One that has ended meanwhile is no error."""
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen(["sleep", "60"]) as child:
        pin(child.pid, {core})
        assert os.sched_getaffinity(child.pid) == {core}
        child.kill()
    pin(child.pid, {core})


def test_only_a_busy_process_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for ever."""
    looks: list[float] = []
    monkeypatch.setattr(processes.time, "sleep", looks.append)
    spent = iter([0.0, 1.0, 1.5, 1.5, 9.0])
    monkeypatch.setattr(processes, "usage", lambda pid: processes.Usage(next(spent), 0.0))
    wait_quiet([1])
    assert len(looks) == 3
    monkeypatch.setattr(processes, "QUIET_PATIENCE_S", 0.0)
    wait_quiet([1])
    assert len(looks) == 3
