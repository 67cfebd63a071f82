"""The table of parts: whatever the kind, values may come in any order, in any groups, and from any rows."""

from collections import Counter
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.histogram import bucket
from streams.core.parts import FORMS, LEAST, MOST, Held, Part, PartForm, PartKind, columns_of, held_in

MEANS: dict[PartKind, tuple[Held, Callable[[list[int]], Any]]] = {
    PartKind.COUNTED: (0, len),
    PartKind.SUMMED: (0, sum),
    PartKind.HIGHEST: (0, max),
    PartKind.HISTOGRAM: ({}, lambda values: dict(Counter(map(bucket, values)))),
    PartKind.MAXIMUM: (LEAST, max),
    PartKind.MINIMUM: (MOST, min),
}  # fmt: skip
"""What a part holds of no value, and of some; a second time, by other means."""

GROUPS = st.lists(st.lists(st.integers(0, 10**6), max_size=5), max_size=5)


def held(form: PartForm, values: list[int]) -> Held:
    """What a part holds of these values, as a fold has it: nothing is added of none."""
    return form.add(form.nothing(), values) if values else form.nothing()


@pytest.mark.parametrize("kind", PartKind)
@given(groups=GROUPS)
def test_a_part_holds_what_it_means(kind: PartKind, groups: list[list[int]]) -> None:
    """Of all values together, of rows merged in both directions, and of rows among which some have none."""
    form, (nothing, mean) = FORMS[kind], MEANS[kind]
    values = [value for group in groups for value in group]
    expected = mean(values) if values else nothing
    assert held(form, values) == expected
    for order in (groups, groups[::-1]):
        assert reduce(form.merge, (held(form, group) for group in order), form.nothing()) == expected


@pytest.mark.parametrize("kind", PartKind)
@given(values=st.lists(st.integers(0, 10**6), max_size=9))
def test_columns_are_what_it_holds(kind: PartKind, values: list[int]) -> None:
    """There and back."""
    form = FORMS[kind]
    assert held_in(columns_of(held(form, values))) == held(form, values)


@pytest.mark.parametrize(("kind", "most"), [(PartKind.MAXIMUM, max), (PartKind.MINIMUM, min)])
@given(values=st.lists(st.integers(LEAST + 1, MOST - 1), min_size=1))
def test_extremes_of_any_sign(kind: PartKind, most: Callable[[list[int]], int], values: list[int]) -> None:
    """Below zero too, and up to the ends of 64 bits."""
    assert held(FORMS[kind], values) == most(values)


def test_every_kind_is_in_the_table() -> None:
    """And each part finds its own."""
    assert [*FORMS] == [*PartKind]
    assert all(Part(kind, ("x",)).form is FORMS[kind] for kind in PartKind)
