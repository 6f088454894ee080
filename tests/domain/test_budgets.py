"""Budgets and spending, against a model that keeps every call and adds decimals up."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.access import Snapshot, Status, User
from otelbridge.domain.budgets import (
    Budget,
    Period,
    budget_of,
    is_exceeded,
    period_days,
    spent_nanos,
    utilization,
)
from otelbridge.domain.ledger import UsageKey, UsageTotals
from otelbridge.domain.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable

NS = 1_000_000_000
NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)  # a Friday
ALICE, BOB = UUID(int=1), UUID(int=2)
OWN = Budget(limit_micros=1, period=Period.DAY)
DEFAULT = Budget(limit_micros=2, period=Period.DAY)


def ns(moment: datetime) -> int:
    """Return a time as the bridge's clock tells it."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def row(day: date | str, nanos: int, user: UUID = ALICE) -> tuple[UsageKey, UsageTotals]:
    """Return a row of the usage table."""
    key = UsageKey(str(day), user.bytes, "anthropic", "m", "c")
    return key, UsageTotals(input_tokens=5, cost_nanos=nanos)


def spending(*rows: tuple[UsageKey, UsageTotals]) -> Spending:
    """Return what was spent."""
    spent = Spending()
    spent.apply(rows)
    return spent


def store(
    budgets: dict[UUID | None, Budget], *users: UUID, status: Status = Status.ACTIVE
) -> Snapshot:
    """Return a store of users and budgets."""
    known = {each: User(id=each, name=f"user{each.int}", status=status) for each in users}
    return Snapshot(users=known, budgets=budgets)


# --- Whose budget ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budgets", "user", "expected"),
    [
        ({}, ALICE, None),
        ({None: DEFAULT}, ALICE, DEFAULT),
        ({None: DEFAULT, ALICE: OWN}, ALICE, OWN),
        ({BOB: OWN}, ALICE, None),
        ({None: DEFAULT}, UUID(int=9), None),
        ({None: DEFAULT}, UUID(int=0), None),
    ],
)
def test_a_budget_is_the_users_own_or_everybodys_and_strangers_have_none(
    budgets: dict[UUID | None, Budget], user: UUID, expected: Budget | None
) -> None:
    assert budget_of(store(budgets, ALICE), user) == expected


@pytest.mark.parametrize("status", Status)
def test_whoever_may_not_call_has_a_budget_all_the_same(status: Status) -> None:
    assert budget_of(store({None: DEFAULT}, ALICE, status=status), ALICE) == DEFAULT


# --- The current period ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "now", "expected"),
    [
        (Period.DAY, "2027-01-15", ("2027-01-15", "2027-01-16")),
        (Period.DAY, "2026-12-31", ("2026-12-31", "2027-01-01")),
        (Period.WEEK, "2027-01-15", ("2027-01-11", "2027-01-18")),
        (Period.WEEK, "2027-01-11", ("2027-01-11", "2027-01-18")),  # a Monday
        (Period.WEEK, "2027-01-03", ("2026-12-28", "2027-01-04")),  # a Sunday
        (Period.MONTH, "2027-01-15", ("2027-01-01", "2027-02-01")),
        (Period.MONTH, "2026-12-31", ("2026-12-01", "2027-01-01")),
        (Period.MONTH, "2028-02-29", ("2028-02-01", "2028-03-01")),
    ],
)
def test_a_period_is_the_calendars_utc(period: Period, now: str, expected: tuple[str, str]) -> None:
    day = datetime.fromisoformat(now).replace(tzinfo=UTC)

    first, last = ns(day), ns(day + timedelta(days=1)) - 1

    assert period_days(period, now_ns=first) == expected
    assert period_days(period, now_ns=last) == expected


moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001  # hypothesis wants it so
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(now=moments, period=st.sampled_from(Period))
def test_now_is_in_the_current_period_and_a_week_begins_on_monday(
    now: datetime, period: Period
) -> None:
    first, following = map(date.fromisoformat, period_days(period, now_ns=ns(now)))

    assert first <= now.date() < following
    lengths = {Period.DAY: {1}, Period.WEEK: {7}, Period.MONTH: {28, 29, 30, 31}}
    assert (following - first).days in lengths[period]
    assert period is not Period.WEEK or first.isoweekday() == 1
    assert period is not Period.MONTH or (first.day, following.day) == (1, 1)


# --- How much of it is spent ----------------------------------------------------------------


@pytest.mark.parametrize(("nanos", "expected"), [(0, False), (999, False), (1000, True)])
def test_a_budget_is_exceeded_as_soon_as_its_limit_is_spent(nanos: int, expected: bool) -> None:
    spent = spending(row(NOW.date(), nanos))

    assert is_exceeded(OWN, spent, ALICE, now_ns=ns(NOW)) is expected


@pytest.mark.parametrize("period", Period)
def test_a_limit_of_0_is_exceeded_by_who_has_spent_nothing(period: Period) -> None:
    nothing = Budget(limit_micros=0, period=period)

    assert is_exceeded(nothing, Spending(), ALICE, now_ns=ns(NOW))
    assert utilization(nothing, 0) == 1


@pytest.mark.parametrize(("nanos", "ratio"), [(0, 0), (500, 0.5), (1000, 1), (2500, 2.5)])
def test_the_utilization_is_1_where_the_limit_is(nanos: int, ratio: float) -> None:
    assert utilization(OWN, nanos) == ratio


@pytest.mark.parametrize("period", Period)
def test_a_new_period_begins_at_midnight_with_nothing_spent(period: Period) -> None:
    budget = Budget(limit_micros=1, period=period)
    _, following = period_days(period, now_ns=ns(NOW))
    midnight = datetime.fromisoformat(following).replace(tzinfo=UTC)
    spent = spending(row(midnight.date() - timedelta(days=1), 1000))

    assert is_exceeded(budget, spent, ALICE, now_ns=ns(midnight) - 1)
    assert not is_exceeded(budget, spent, ALICE, now_ns=ns(midnight))


def test_usage_that_comes_late_counts_in_the_period_of_its_own_time() -> None:
    month = Budget(limit_micros=1, period=Period.MONTH)
    december, january = ns(NOW - timedelta(days=20)), ns(NOW)

    spent = spending(row("2027-01-15", 1), row("2026-12-31", 1000))

    assert spent_nanos(month, spent, ALICE, now_ns=january) == 1
    assert is_exceeded(month, spent, ALICE, now_ns=december)


def test_a_record_of_tomorrow_is_none_of_todays() -> None:
    """A gateway's clock may be an hour ahead."""
    spent = spending(row(NOW.date() + timedelta(days=1), 1000))

    assert not is_exceeded(OWN, spent, ALICE, now_ns=ns(NOW))
    assert is_exceeded(OWN, spent, ALICE, now_ns=ns(NOW + timedelta(days=1)))


# --- Against a model ------------------------------------------------------------------------


@dataclass(frozen=True)
class Spent:
    """Something that was paid for."""

    user: UUID
    at: datetime
    usd: Decimal


calls = st.builds(
    Spent,
    user=st.sampled_from([ALICE, BOB]),
    at=st.datetimes(
        datetime(2026, 12, 20),  # noqa: DTZ001
        datetime(2027, 2, 10),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    usd=st.decimals(0, 3, places=9),
)


def is_same_period(period: Period, one: datetime, other: datetime) -> bool:
    """Return whether two times are in one period, by other means than the product's."""
    if period is Period.WEEK:
        return one.isocalendar()[:2] == other.isocalendar()[:2]
    pattern = "%Y-%m-%d" if period is Period.DAY else "%Y-%m"
    return one.strftime(pattern) == other.strftime(pattern)


def usage_of(called: Iterable[Spent]) -> list[tuple[UsageKey, UsageTotals]]:
    """Return calls as usage rows, some of them of an orphan, in the order in which they came."""
    return [
        each
        for call in called
        for each in (
            row(call.at.date(), int(call.usd * NS), call.user),
            (row(call.at.date(), 7)[0]._replace(user=b""), UsageTotals(cost_nanos=7)),
        )
    ]


@given(
    before=st.lists(calls, max_size=20),
    after=st.lists(calls, max_size=20),
    now=st.datetimes(
        datetime(2027, 1, 1),  # noqa: DTZ001
        datetime(2027, 2, 10),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    limit=st.decimals(0, 20, places=6),
    period=st.sampled_from(Period),
    user=st.sampled_from([ALICE, BOB]),
)
def test_a_budget_is_exceeded_when_the_decimal_sum_of_its_period_says_so(
    before: list[Spent],
    after: list[Spent],
    now: datetime,
    limit: Decimal,
    period: Period,
    user: UUID,
) -> None:
    budget = Budget(limit_micros=int(limit * 10**6), period=period)
    # What the ledger had at the start, by day, and then one commit after another.
    spent = spending(*sorted(usage_of(before)))
    for each in usage_of(after):
        spent.apply([each])

    total = sum(
        (c.usd for c in before + after if c.user == user and is_same_period(period, c.at, now)),
        Decimal(0),
    )

    assert spent_nanos(budget, spent, user, now_ns=ns(now)) == total * NS
    assert is_exceeded(budget, spent, user, now_ns=ns(now)) is (total >= limit)


# --- Memory ---------------------------------------------------------------------------------


def kept(spent: Spending) -> int:
    """Return how many days are kept, of all users."""
    return sum(len(days) for days in spent._nanos.values())  # noqa: SLF001  # the bound itself


@pytest.mark.parametrize("step", [1, -1])
def test_a_user_of_many_years_takes_no_more_memory_than_one_of_weeks(step: int) -> None:
    spent = Spending()
    days = [date(2020, 1, 1) + timedelta(days=number) for number in range(3000)]
    for day in days[::step]:
        spent.apply([row(day, 1000)])

    assert kept(spent) <= 64
    assert sum(sys.getsizeof(days) for days in spent._nanos.values()) < 5000  # noqa: SLF001


@given(now=moments)
def test_what_is_kept_covers_every_period_that_is_asked_for(now: datetime) -> None:
    """Of a user who calls each day, with days that a wrong clock made up."""
    days = [now.date() + timedelta(days=number) for number in range(-60, 2)]
    made_up = [date(2199, 1, 1) + timedelta(days=number) for number in range(5)]
    spent = spending(*(row(day, 1000) for day in made_up + days))

    for period in Period:
        first, following = map(date.fromisoformat, period_days(period, now_ns=ns(now)))
        expected = 1000 * sum(first <= day < following for day in days)
        budget = Budget(limit_micros=1, period=period)
        assert spent_nanos(budget, spent, ALICE, now_ns=ns(now)) == expected


def test_rows_that_were_summed_up_by_the_month_and_free_ones_are_not_kept() -> None:
    assert kept(spending(row("2026-12", 1000), row("2027-01-15", 0))) == 0
