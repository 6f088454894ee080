from __future__ import annotations

import pytest

from otelbridge.delivery.series import Observation, Reading, SeriesView, scaled
from otelbridge.domain.ledger import Distribution, Series
from tests.delivery.instruments import (
    BORN_NS,
    GREP,
    GREP_FAILED,
    GREP_TOOK,
    INSTRUMENTS,
    LEDGER,
    OBSERVED,
    SPENT,
)

READING = Reading.of(LEDGER, OBSERVED)


def test_every_instrument_is_there_with_its_series_in_order() -> None:
    families = READING.families(INSTRUMENTS)

    assert [family.instrument for family in families] == list(INSTRUMENTS.values())
    assert [point.key for point in families[0].points] == [GREP, GREP_FAILED]


def test_an_empty_value_is_an_absent_attribute() -> None:
    grep, failed = READING.families(INSTRUMENTS)[0].points

    assert grep.labels == {"tool.name": "grep"}
    assert failed.labels == {"tool.name": "grep", "error.type": "timeout"}


def test_a_zeroed_series_shows_0_if_it_can_only_grow() -> None:
    active = ("test.active", ())
    families = READING.families(INSTRUMENTS, zero=frozenset([GREP, GREP_TOOK, active]))

    values = {point.key: point.value for family in families for point in family.points}
    assert (values[GREP], values[GREP_FAILED], values[active]) == (0, 2, 3)
    assert values[GREP_TOOK] == Distribution((0, 0, 0), 0.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("test.gone", ()), 1),
        (("test.calls", ()), Distribution((1,), 1.0)),
        (("test.duration", ()), 1),
        (("test.duration", ()), Distribution((1, 1), 1.0)),
    ],
)
def test_a_series_that_no_instrument_fits_is_left_out(
    key: tuple[str, tuple[str, ...]], value: int | Distribution
) -> None:
    families = Reading.of({key: Series(BORN_NS, value)}, []).families(INSTRUMENTS)

    assert not any(family.points for family in families)


def test_a_series_with_fewer_values_than_keys_is_told_with_those_it_has() -> None:
    reading = Reading.of({("test.calls", ("grep",)): Series(BORN_NS, 1)}, [])

    assert reading.families(INSTRUMENTS)[0].points[0].labels == {"tool.name": "grep"}


def test_an_observed_counter_is_a_series_like_any_other() -> None:
    reading = Reading.of({}, [Observation("test.calls", ("grep", ""), 7, BORN_NS)])

    (point,) = reading.families(INSTRUMENTS)[0].points
    assert (point.key, point.value, point.born_at_ns) == (GREP, 7, BORN_NS)


def test_a_view_knows_what_was_there_and_what_it_saw() -> None:
    view = SeriesView([GREP])
    view.saw([SPENT])

    assert view.unseen(LEDGER) == {GREP_FAILED, GREP_TOOK}


def test_scaling_rounds_once() -> None:
    assert scaled(123_456_789, 1e-9) == 0.123456789
    assert isinstance(scaled(5, 1), int)
