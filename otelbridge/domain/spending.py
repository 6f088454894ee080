"""Spending: what each user's calls cost, by day, in memory."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from otelbridge.domain.ledger import UsageKey, UsageTotals

# The longest period is a month, and a week may begin six days before one: 37 days. Some more
# for days that a wrong clock made up. About 3 kB a user at most.
_KEPT_DAYS = 45
_DAY_LENGTH = len("YYYY-MM-DD")


class Spending:
    """What the ledger's usage rows say of cost. Written by one thread, read by any.

    The latest 45 days of each user are kept, whenever they were: which days
    these are does not depend on any clock. Rows that the ledger has summed up
    by the month are older than any period.
    """

    def __init__(self) -> None:
        self._nanos: dict[bytes, dict[str, int]] = {}

    def apply(self, usage: Iterable[tuple[UsageKey, UsageTotals]]) -> None:
        """Add usage that was committed."""
        for key, totals in usage:
            if key.user and totals.cost_nanos and len(key.day) == _DAY_LENGTH:
                self._add(key.user, intern(key.day), totals.cost_nanos)

    def spent_nanos(self, user_id: UUID, since_day: str, before_day: str) -> int:
        """Return what a user has spent on ``since_day`` and later, before ``before_day``.

        Days are written ``YYYY-MM-DD``, UTC; the result is in USD * 10^9.
        """
        days = self._nanos.get(user_id.bytes)
        if days is None:
            return 0
        # One operation of the interpreter: no other thread adds a day meanwhile.
        spent = list(days.items())
        return sum(nanos for day, nanos in spent if since_day <= day < before_day)

    def _add(self, user: bytes, day: str, nanos: int) -> None:
        days = self._nanos.setdefault(user, {})
        days[day] = days.get(day, 0) + nanos
        if len(days) > _KEPT_DAYS:
            del days[min(days)]
