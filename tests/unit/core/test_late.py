"""Late events by columns."""

from streams.core.late import GatheredLate, LateEvent, LateEvents


def late(number: int) -> LateEvent:
    """A late event of its own."""
    return LateEvent(
        60_000 * number, number, f"e{number}", number + 1, number + 2, (number, 3), (60 * number, "a")
    )


def test_columns_are_the_events() -> None:
    """All of them, some, or none."""
    events = [late(n) for n in range(5)]
    columns = LateEvents.of(events)
    assert (len(columns), [*columns]) == (5, events)
    assert columns.select(b"\1\1\1\1\1") is columns
    assert [*columns.select(b"\1\0\0\1\1")] == [events[0], *events[3:]]
    assert columns.select(bytes(5)) == LateEvents() == LateEvents.of([])
    assert not [*LateEvents()]


def test_what_is_gathered_is_weighed_until_it_is_taken() -> None:
    """Longer texts weigh more."""
    waiting = GatheredLate()
    waiting.add(late(1))
    one = waiting.bytes
    waiting.add(late(10**20))
    assert waiting.bytes > 2 * one
    assert [*waiting.take()] == [late(1), late(10**20)]
    assert (waiting.bytes, waiting.take()) == (0, LateEvents())
