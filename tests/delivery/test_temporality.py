from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.delivery.series import Point
from otelbridge.delivery.temporality import DeltaBase
from otelbridge.domain.ledger import Distribution
from tests.delivery.instruments import GREP, GREP_TOOK

numbers = st.integers(0, 10**15) | st.floats(0, 1e9)
distributions = st.builds(
    Distribution,
    st.lists(st.integers(0, 10**9), min_size=3, max_size=3).map(tuple),
    st.floats(0, 1e9),
)


def point(value: float | Distribution, born_at_ns: int = 1) -> Point:
    key = GREP_TOOK if isinstance(value, Distribution) else GREP
    return Point(key, {}, born_at_ns, value)


@given(first=numbers | distributions, second=numbers | distributions)
def test_what_was_acknowledged_survives_being_written_down(
    first: float | Distribution, second: float | Distribution
) -> None:
    base = DeltaBase()
    base.acknowledge([point(first), point(second)], at_ns=2)

    again = DeltaBase.load(base.dump())

    assert again is not None
    assert again.dump() == base.dump()
    assert again.change(point(second)) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "[[1]]", "{}x", '[["a", "b"]]'])
def test_what_cannot_be_read_is_nothing(text: str) -> None:
    assert DeltaBase.load(text) is None


def test_a_series_that_was_born_again_is_told_as_a_whole() -> None:
    base = DeltaBase()
    base.acknowledge([point(5)], at_ns=2)

    assert base.change(point(3, born_at_ns=9)) == point(3, born_at_ns=9)


def test_a_histogram_whose_buckets_are_others_is_told_as_a_whole() -> None:
    base = DeltaBase()
    base.acknowledge([point(Distribution((1,), 1.0))], at_ns=2)
    other = point(Distribution((1, 1), 2.0))

    assert base.change(other) == other
