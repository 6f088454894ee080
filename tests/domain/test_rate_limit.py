"""Rate limits: what is within, against a bucket of drops, and what is remembered."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.rate_limit import RateLimit

S = 1_000_000_000
MS = 1_000_000


def admitted(limit: RateLimit, *, count: int, now_ns: int, source: str = "a") -> int:
    """Return how many of so many events at once are within the limit."""
    return sum(limit.admits(source, now_ns=now_ns) for _ in range(count))


def test_a_burst_is_within_and_then_its_rate() -> None:
    limit = RateLimit(per_s=100, burst=100)

    assert admitted(limit, count=300, now_ns=S) == 100
    assert admitted(limit, count=300, now_ns=S + 9 * MS) == 0
    assert admitted(limit, count=300, now_ns=S + 10 * MS) == 1
    assert admitted(limit, count=300, now_ns=S + 510 * MS) == 50


def test_a_source_that_never_stops_has_its_rate_all_the_same() -> None:
    limit = RateLimit(per_s=100, burst=100)

    within = sum(limit.admits("a", now_ns=now) for now in range(0, 10 * S, S // 2000))

    assert within == 100 + 999


def test_sources_do_not_share() -> None:
    limit = RateLimit(per_s=100, burst=100)

    assert admitted(limit, count=300, now_ns=0, source="a") == 100
    assert admitted(limit, count=300, now_ns=0, source="b") == 100


@given(
    steps=st.lists(st.tuples(st.integers(0, 3 * S), st.integers(1, 12)), max_size=30),
    per_s=st.sampled_from([1, 4, 100]),
    burst=st.integers(1, 10),
)
def test_it_is_a_token_bucket(steps: list[tuple[int, int]], per_s: int, burst: int) -> None:
    limit = RateLimit(per_s=per_s, burst=burst)
    now, drops = 0, Fraction(burst)

    for pause, count in steps:
        now += pause
        drops = min(Fraction(burst), drops + Fraction(pause * per_s, S))
        expected = min(count, int(drops))
        drops -= expected

        assert admitted(limit, count=count, now_ns=now) == expected


@given(st.lists(st.integers(-5 * S, 5 * S), max_size=50))
def test_a_clock_that_jumps_locks_nobody_out(jumps: list[int]) -> None:
    limit, now = RateLimit(per_s=100, burst=100), 10**18
    for jump in jumps:
        now += jump
        admitted(limit, count=200, now_ns=now)

    assert admitted(limit, count=200, now_ns=now + S) == 100


def test_an_hour_back_costs_a_burst_at_most() -> None:
    limit = RateLimit(per_s=100, burst=100)
    assert limit.admits("a", now_ns=3600 * S)

    limit.admits("a", now_ns=0)

    assert admitted(limit, count=200, now_ns=S) == 100


def test_no_more_sources_are_remembered_than_there_is_room_for() -> None:
    limit = RateLimit(per_s=1, burst=1, max_sources=10)

    for number in range(100_000):
        limit.admits(f"source {number}", now_ns=number * MS)

    assert len(limit) <= 11


def test_whoever_floods_with_new_names_gives_no_limited_source_a_fresh_bucket() -> None:
    limit = RateLimit(per_s=100, burst=100, max_sources=10)
    admitted(limit, count=200, now_ns=0, source="guesser")

    within = sum(limit.admits(f"name {number}", now_ns=MS) for number in range(1000))

    assert admitted(limit, count=100, now_ns=MS, source="guesser") == 0
    # Nine had room, and the rest shared one bucket.
    assert within == 9 + 100


def test_who_is_forgotten_had_a_full_bucket() -> None:
    limit = RateLimit(per_s=100, burst=100, max_sources=1)
    admitted(limit, count=50, now_ns=0, source="a")

    assert admitted(limit, count=200, now_ns=500 * MS, source="b") == 100
    assert len(limit) == 1
    assert admitted(limit, count=200, now_ns=1500 * MS, source="a") == 100


@pytest.mark.parametrize("per_s", [1 / 60, 0.5])
def test_a_rate_may_be_less_than_one_a_second(per_s: float) -> None:
    limit = RateLimit(per_s=per_s, burst=1)

    assert limit.admits("", now_ns=0)
    assert not limit.admits("", now_ns=round(S / per_s) - 1)
    assert limit.admits("", now_ns=round(S / per_s))
