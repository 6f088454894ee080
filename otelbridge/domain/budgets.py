"""Budgets: what a user may spend in a day, a week or a month, and how much of it is left.

The rules are pure: times are passed in, as nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.domain.access import Snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000
_NANOS_PER_MICRO = 1000
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
# From any day of a month, the next month has begun after this and not ended.
_INTO_NEXT_MONTH = timedelta(days=31)


class Period(StrEnum):
    """How often a budget begins anew, UTC; a week begins on Monday (ISO 8601)."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one user may spend in a period.

    Attributes:
        limit_micros: USD * 10^6; whoever has spent that much is over it.
        period: When it begins anew.
    """

    limit_micros: int
    period: Period

    @property
    def limit_nanos(self) -> int:
        """Return the limit in USD * 10^9, as cost is booked."""
        return self.limit_micros * _NANOS_PER_MICRO


class Spend(Protocol):
    """What users have spent, in memory."""

    def spent_nanos(self, user_id: UUID, since_day: str, before_day: str) -> int:
        """Return USD * 10^9 from a day on and before another; 0 for an unknown user.

        Days are written ``YYYY-MM-DD``, UTC.
        """


def budget_of(snapshot: Snapshot, user_id: UUID) -> Budget | None:
    """Return the user's own budget, else everybody's; None for a user the store does not know.

    Everybody's is a limit for each user, not a shared pot. A user's status
    does not matter: whoever may not call has a limit all the same.
    """
    if user_id not in snapshot.users:
        return None
    return snapshot.budgets.get(user_id) or snapshot.budgets.get(None)


def is_exceeded(budget: Budget, spend: Spend, user_id: UUID, *, now_ns: int) -> bool:
    """Return whether the user has spent the budget's limit in the current period."""
    return spent_nanos(budget, spend, user_id, now_ns=now_ns) >= budget.limit_nanos


def spent_nanos(budget: Budget, spend: Spend, user_id: UUID, *, now_ns: int) -> int:
    """Return what the user has spent in the budget's current period, in USD * 10^9."""
    return spend.spent_nanos(user_id, *period_days(budget.period, now_ns=now_ns))


def utilization(budget: Budget, spent: int) -> float:
    """Return which part of a budget is spent: 1 is its limit, and a limit of 0 is always spent.

    Args:
        budget: The budget.
        spent: What was spent of it, in USD * 10^9.
    """
    return spent / budget.limit_nanos if budget.limit_nanos else 1.0


def period_days(period: Period, *, now_ns: int) -> tuple[str, str]:
    """Return the first days of the current period and of the next, ``YYYY-MM-DD``, UTC."""
    first, following = _bounds(period, (_EPOCH + timedelta(seconds=now_ns // _NS)).date())
    return first.isoformat(), following.isoformat()


def _bounds(period: Period, today: date) -> tuple[date, date]:
    if period is Period.DAY:
        return today, today + _DAY
    if period is Period.WEEK:
        monday = today - timedelta(days=today.weekday())
        return monday, monday + _WEEK
    first = today.replace(day=1)
    return first, (first + _INTO_NEXT_MONTH).replace(day=1)
