"""One source's garbage costs that source only: its letters are bounded, of the rest the places are noted."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Refusal
from streams.core.limits import Limits
from streams.core.message import Message
from streams.core.refusals import SOURCES, TALLIED, TOLD, Quota, Refusals, SourceCounts, places, source_text
from streams.core.rules import Rules
from streams.core.values import Progress, Unread
from streams.registry import load_streams
from tests.support.engines import ENGINES, engine
from tests.support.events import T0_MS, camera_event, message, packed

SPEC = load_streams()["camera"]
MINUTE_MS = 60_000


def refusals(letters: int = 3) -> Refusals:
    """Of a partition of cameras; so many letters of a source in a minute."""
    return Refusals("camera_id", Limits(source_letters=letters))


def refuse(
    to: Refusals, offset: int, key: bytes | None, raw: bytes = b"{", index: int = 0, ms: int = T0_MS
) -> None:
    """Refuse one event."""
    to.add(Refusal(index, "", "broken JSON", raw), Message(offset, ms, key, raw))


def kept(to: Refusals) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The places of letters, and those that are noted."""
    letters, noted = to.take()
    return [(d.offset, d.index) for d in letters], [*places(noted)]


@pytest.mark.parametrize(
    ("keys", "raws"),
    [
        ([b"gw"] * 5, [b"{"] * 5),  # one message key
        ([b"gw"] * 5, [b'{"camera_id": "cam-%d"' % n for n in range(5)]),  # that of a gateway of many cameras
        ([b"%d" % n for n in range(5)], [b'{"camera_id" : "cam-1", "kind"'] * 5),  # random keys, one camera
        ([None] * 5, [b'[{"x":1,"camera_id":"cam-1"'] * 5),
        ([None] * 5, [b'{"camera_id":17}'] * 5),  # not what it should be, but always the same
        ([None] * 5, [b"\xff\0"] * 5),  # neither: all of these are one source
        ([b""] * 5, [b"{"] * 5),
        ([b"x" * 64 + b"%d" % n for n in range(5)], [b"{"] * 5),  # of a key only the first bytes count
    ],
)
def test_the_first_of_a_source_are_letters_and_the_rest_is_noted(
    keys: list[bytes | None], raws: list[bytes]
) -> None:
    """By the message's key, or by the event's own."""
    here = refusals()
    for offset, (key, raw) in enumerate(zip(keys, raws, strict=True)):
        refuse(here, offset, key, raw)
    assert kept(here) == ([(0, 0), (1, 0), (2, 0)], [(3, 0), (4, 0)])


def test_another_source_and_another_minute_have_their_own_share() -> None:
    """A time that goes back has not: a broker's clock must not fill the table."""
    here = refusals(1)
    for offset, (key, minute) in enumerate([("a", 0), ("a", 0), ("b", 0), ("a", 1), ("a", 0), ("a", 1)]):
        refuse(here, offset, key.encode(), ms=T0_MS + minute * MINUTE_MS)
    assert kept(here) == ([(0, 0), (2, 0), (3, 0)], [(1, 0), (4, 0), (5, 0)])


@pytest.mark.parametrize("name", ENGINES)
def test_a_message_of_many_is_cut_within(name: str) -> None:
    """A bundle of ten bad ones among two good: three letters, seven noted in one value; all are counted."""
    bad = [{**camera_event(f"b{n}", 1), "kind": "xe"} for n in range(10)]
    bundle = message(camera_event("a", 1), *bad, camera_event("z", 2))
    state = engine(name)(SPEC, Rules(limits=Limits(source_letters=3)), Progress("camera", SPEC.topic, 0))
    state.fold(packed(5, 6, T0_MS + 5_000, [bundle], None, [b"gw"]))
    changes = state.capture()
    assert changes is not None
    assert [(d.offset, d.index) for d in changes.dead] == [(5, 1), (5, 2), (5, 3)]
    (noted,) = changes.noted
    assert (noted.offset, noted.append_ms, noted.source) == (5, T0_MS + 5_000, "gw")
    assert list(noted.indexes) == list(range(4, 11))
    assert (changes.progress.folded, changes.progress.dead) == (2, 10)
    assert state.pending < 20_000
    assert state.capture() is None


@pytest.mark.parametrize("name", ENGINES)
def test_what_can_not_be_read_goes_the_same_way(name: str) -> None:
    """A whole batch without a key, and the place is its first offset."""
    state = engine(name)(SPEC, Rules(limits=Limits(source_letters=1)), Progress("camera", SPEC.topic, 0))
    for base in (0, 10):
        state.fold(Unread(base, base + 10, T0_MS, "no batch", b"\0"))
    changes = state.capture()
    assert changes is not None
    assert ([d.offset for d in changes.dead], [*places(changes.noted)]) == ([0], [(10, 0)])
    assert (changes.progress.dead, changes.progress.next_offset) == (2, 20)


def test_what_is_skipped_is_noted_from_the_first_on() -> None:
    """And spends nobody's share."""
    here = refusals(1)
    here.note_below = 2
    for offset in range(4):
        refuse(here, offset, b"a")
    assert kept(here) == ([(2, 0)], [(0, 0), (1, 0), (3, 0)])


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_replayed_is_not_refused_again(name: str) -> None:
    """Its letters and notes are stored; they neither wait nor count for a breaker, nor spend a share."""
    rules = Rules(limits=Limits(source_letters=1))
    stored = Progress("camera", SPEC.topic, 0, next_offset=2, replay_from=0, dead=2)
    state = engine(name)(SPEC, rules, stored)
    state.fold(packed(0, 2, T0_MS, [b"{", b"{"]))
    assert state.refusals.since() is None
    state.fold(packed(2, 4, T0_MS, [b"{", b"{"]))
    changes = state.capture()
    assert changes is not None
    assert ([d.offset for d in changes.dead], [*places(changes.noted)]) == ([2], [(3, 0)])
    assert changes.progress.dead == 4


SOURCE = st.sampled_from([b"a", b"b", b"cam-1", b"gw", b""])
RAWS = st.sampled_from([b"{", b'{"camera_id":"cam-1"', b'{"camera_id":"a"}', b'{"camera_id":"'])


@given(
    st.lists(st.tuples(SOURCE, RAWS, st.integers(0, 4), st.integers(-1, 1)), max_size=120),
    st.integers(1, 4),
    st.integers(0, 30),
)
def test_letters_and_notes_are_all_that_is_refused(
    given_ones: list[tuple[bytes, bytes, int, int]], share: int, below: int
) -> None:
    """Each place once, each source at most its share of letters a minute, memory by the number of places."""
    here, minute, letters = refusals(share), 0, Counter[tuple[int, bytes]]()
    here.note_below = below
    wanted, found = set[tuple[int, int]](), list[tuple[int, int]]()
    for offset, (key, raw, more, step) in enumerate(given_ones):
        minute += step
        for index in range(more + 1):
            refuse(here, offset, key, raw, index, T0_MS + minute * MINUTE_MS)
            wanted.add((offset, index))
    newest, minute = -99, 0
    minutes = dict[int, int]()
    for offset, (_, _, _, step) in enumerate(given_ones):
        minute += step
        # what is skipped moves no share's minute
        newest = minutes[offset] = max(newest, minute) if offset >= below else newest
    kept_letters, noted = here.take()
    found += [(d.offset, d.index) for d in kept_letters]
    found += places(noted)
    assert sorted(found) == sorted(wanted)
    for letter in kept_letters:
        key, raw, _, _ = given_ones[letter.offset]
        own = b"cam-1" if b"cam-1" in raw else b"a" if b'"a"' in raw else b""
        letters.update((minutes[letter.offset], source) for source in {key or own, own or key})
        assert letter.offset >= below
    assert max(letters.values(), default=0) <= share
    assert here.bytes == 0


def test_memory_is_bounded_whatever_comes() -> None:
    """A million notes weigh what they take; sources, reasons and names are told apart up to a limit only."""
    here, quota = refusals(1), Quota(2)
    for n in range(3 * SOURCES):
        quota.take((b"%d" % n, b"%d" % -n), T0_MS)
        here.add(
            Refusal(0, "", f"reason {chr(65 + n % 26)}{chr(97 + n // 26 % 26)}", b"{"),
            Message(n, T0_MS, b"%d" % n, b"{"),
        )
    assert len(quota._counts) <= SOURCES + 2
    since = here.since()
    assert since is not None
    assert (len(since.by_key.counts) <= TALLIED, len(since.reasons), len(since.held)) == (True, TOLD + 1, 1)
    assert since.letters + since.noted == 3 * SOURCES == sum(told.count for told in since.reasons.values())
    assert since.letters == SOURCES + 1
    assert here.bytes < 3 * SOURCES * 1000


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 50)), max_size=400))
def test_a_tally_is_never_too_high_and_hardly_too_low(counted: list[tuple[int, int]]) -> None:
    """Against a plain count."""
    tally, plain = SourceCounts(), Counter[bytes]()
    for source, count in counted:
        tally.add(b"%d" % source, count)
        plain[b"%d" % source] += count
    assert len(tally.counts) <= TALLIED
    for source, count in plain.items():
        assert count - plain.total() / TALLIED <= tally.counts.get(source, 0) <= count


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b"", "no key"),
        (b"cam-1", "cam-1"),
        ("phường 2".encode(), "phường 2"),
        (b"\x1b[31m\xff", "?[31m\ufffd"),
    ],
)
def test_a_source_in_words(source: bytes, text: str) -> None:
    """Printable, whatever a producer calls itself."""
    assert source_text(source) == text
