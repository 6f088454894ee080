"""Numbers and times as people read them."""

from __future__ import annotations

import pytest

from otelbridge.page import formats
from tests.page.views import cost
from tests.records import T0, S


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9_999_999, "9,999,999"), (12_345_678, "12.3 M"), (2_500_000_000, "2.50 G")],
)
def test_a_count_is_exact_below_ten_millions(number: int, text: str) -> None:
    assert formats.count(number) == text


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0"),
        (1, "<$0.0001"),
        (55_300_000, "$0.0553"),
        (12_344_000_000, "$12.34"),
        (9_999_990_000_000, "$9,999.99"),
        (12_345_678_000_000, "$12,346"),
    ],
)
def test_an_amount_has_the_digits_that_say_something(nanos: int, text: str) -> None:
    assert formats.usd(nanos) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.35, "350 ms"),
        (0.9996, "1.0 s"),
        (2, "2.0 s"),
        (65, "1 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert formats.duration(int(seconds * S)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "none"), (1.9, "1 s"), (61, "1 min 01 s"), (10, "10 s")]
)
def test_an_age_is_told_in_whole_seconds(seconds: float, text: str) -> None:
    assert formats.age(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1024**3, "1.0 GiB"), (1024**4, "1.0 TiB")],
)
def test_a_size_is_binary(number: int, text: str) -> None:
    assert formats.size(number) == text


@pytest.mark.parametrize(
    ("part", "text"), [(0, "0 %"), (0.001, "<1 %"), (0.424, "42 %"), (12.5, "1,250 %")]
)
def test_a_part_is_told_in_hundredths(part: float, text: str) -> None:
    assert formats.percent(part) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (0.42, "0.4"), (12.3, "12"), (1234, "1,234")]
)
def test_a_rate_below_ten_has_a_decimal(number: float, text: str) -> None:
    assert formats.rate(number) == text


def test_a_time_is_utc_and_one_that_no_calendar_has_is_cut() -> None:
    assert formats.clock(T0) == "12:00:00"
    assert formats.moment(T0) == "2026-11-22 12:00"
    assert formats.iso(T0) == "2026-11-22T12:00:00Z"
    assert formats.clock(-1) == "00:00:00"
    assert formats.iso(10**30) == "9999-12-31T23:59:59Z"


def test_a_cost_is_the_sum_of_its_parts() -> None:
    assert formats.cost_nanos(cost("0.0123")) == 12_300_000
