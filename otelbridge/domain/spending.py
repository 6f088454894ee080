"""Spending: what each user's calls cost, by day, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from otelbridge.domain.ledger import UsageKey, UsageTotals


class Spending:
    """What the ledger's usage rows say of cost. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._nanos: dict[bytes, dict[str, int]] = {}

    def apply(self, usage: Iterable[tuple[UsageKey, UsageTotals]]) -> None:
        """Add usage that was committed."""
        for key, totals in usage:
            if key.user and totals.cost_nanos:
                days = self._nanos.setdefault(key.user, {})
                days[key.day] = days.get(key.day, 0) + totals.cost_nanos

    def spent_nanos(self, user_id: UUID, since_day: str) -> int:
        """Return what a user has spent on ``since_day`` (``YYYY-MM-DD``, UTC) and later.

        In USD * 10^9.
        """
        days = dict(self._nanos.get(user_id.bytes, {}))
        return sum(nanos for day, nanos in days.items() if day >= since_day)
