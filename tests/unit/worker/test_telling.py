"""Refusals in words: a line for each minute and reason, bounded, and without what was refused."""

from schemas.codec import Refusal
from streams.core.limits import Limits
from streams.core.message import Message
from streams.core.refusals import TOLD, Refusals, RefusalSummary
from streams.worker.telling import Telling

P2 = ("camera.events", 2)


def refused(*reasons: str, letters: int = 1000, key: bytes = b"gw-1", field: str = "kind") -> RefusalSummary:
    """What one batch has refused, from offset 7 on."""
    refusals = Refusals("camera_id", Limits(source_letters=letters))
    for offset, reason in enumerate(reasons, 7):
        refusals.add(Refusal(0, field, reason, b"{secret"), Message(offset, 0, key, b"{secret"))
    since = refusals.since()
    assert since is not None
    return since


def test_a_line_says_what_how_many_where_and_what_to_do() -> None:
    """Numbers and what was quoted make no difference, and do not stand in it."""
    telling = Telling()
    telling.add(
        "camera", P2, refused("must be one of a, b, not 'x'", "must be one of a, b, not 'it's \"me\"'")
    )
    telling.add("camera", P2, refused("12.5 s ahead of the broker's append time", field="occurred_at"))
    kinds, clocks = telling.lines(5.0)
    assert kinds == (
        "stream camera: 2 refused: kind: must be one of a, b, not '…'; one is camera.events/2/8/0; look: "
        "songlo dlq list --stream camera --reason 'must be one of a, b, not'"
    )
    assert clocks == (
        "stream camera: 1 refused: occurred_at: # s ahead of the broker's append time; one is "
        "camera.events/2/7/0; look: songlo dlq list --stream camera --reason "
        "'s ahead of the broker'\"'\"'s append time'"
    )


def test_once_a_minute_and_the_rest_at_the_end() -> None:
    """Nothing gathered is nothing said."""
    telling = Telling()
    assert [*telling.lines(0.0)] == []
    said = []
    for second in (1.0, 2.0, 60.9, 61.0, 62.0):
        telling.add("camera", P2, refused("wrong"))
        said += [f"{second:.0f} s: {line[:25]}" for line in telling.lines(second)]
    assert said == ["1 s: stream camera: 1 refused:", "61 s: stream camera: 3 refused:"]
    assert [line[:25] for line in telling.lines(63.0, rest=True)] == ["stream camera: 1 refused:"]


def test_who_is_held_back_is_named() -> None:
    """With how many are only noted, and how to get them."""
    telling = Telling()
    telling.add("camera", P2, refused(*["wrong"] * 5, letters=2))
    reason, source = telling.lines(0.0)
    assert "5 refused, 3 of them only noted: kind: wrong;" in reason
    assert source == (
        "stream camera: source 'gw-1' has spent its share of dead letters, of 3 more refused events only the "
        "places are noted: songlo dlq fetch --stream camera"
    )


def test_not_more_lines_than_bounded() -> None:
    """Of many reasons and sources the rest stands in one line each; all are counted."""
    telling = Telling()
    for n in range(100):
        names = [f"reason {chr(97 + n // 26)}{chr(97 + n % 26)}"] * 2
        telling.add("camera", P2, refused(*names, letters=1, key=b"gw-%d" % n))
    lines = [*telling.lines(0.0)]
    assert len(lines) == 2 * (TOLD + 1)
    assert sum(int(line.split()[2]) for line in lines[: TOLD + 1]) == 200
    assert "other reasons" in lines[TOLD]
    assert "source 'others'" in lines[-1]
