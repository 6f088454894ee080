"""Budgets as gauges: what each user may spend, has spent, and how much of it that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.delivery.series import Observation
from otelbridge.domain.budgets import budget_of, spent_nanos, utilization
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry.semconv import USER_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from otelbridge.domain.budgets import Budget, Spend
    from otelbridge.store import Store
    from otelbridge.telemetry.labels import Labels

_MICRO = 10**6
_NANO = 10**9


class BudgetGauges:
    """Observes the budgets of all users who are a label.

    A user becomes a label with the first record, as long as there is room for
    one more: a budget that nobody has begun to spend is not told, and neither
    are those beyond the label's limit, which would add up to nothing.

    Args:
        store: Knows users and budgets.
        spend: What users have spent.
        labels: Knows which users are labels.
        clock_ns: The bridge's clock.
    """

    def __init__(
        self, store: Store, spend: Spend, labels: Labels, *, clock_ns: Callable[[], int]
    ) -> None:
        self._store = store
        self._spend = spend
        self._labels = labels
        self._clock_ns = clock_ns

    def __call__(self) -> Iterator[Observation]:
        """Yield the gauges of every budget that is told."""
        snapshot, now_ns = self._store.snapshot, self._clock_ns()
        for user_id in snapshot.users:
            budget = budget_of(snapshot, user_id)
            if budget is not None and self._labels.known(USER_ID, str(user_id)) == str(user_id):
                yield from self._observe(budget, user_id, now_ns)

    def _observe(self, budget: Budget, user_id: UUID, now_ns: int) -> Iterator[Observation]:
        spent = spent_nanos(budget, self._spend, user_id, now_ns=now_ns)
        values = (str(user_id), budget.period.value)
        yield Observation(ins.BUDGET_LIMIT, values, budget.limit_micros / _MICRO)
        yield Observation(ins.BUDGET_SPENT, values, spent / _NANO)
        yield Observation(ins.BUDGET_UTILIZATION, values, utilization(budget, spent))
