"""The ledger: totals that end before they overflow."""

from __future__ import annotations

import pytest

from otelbridge.domain.ledger import Changes, Ledger, added

LARGEST = 2**63 - 1


def test_a_total_ends_at_the_largest_that_a_column_holds() -> None:
    ledger = Ledger()
    for _ in range(3):
        changes = Changes()
        changes.count("aibridge.cost", "input", amount=2**62)
        ledger.apply(ledger.updated(changes, now_ns=1))

    (series,) = ledger.snapshot().values()
    assert series.value == LARGEST


@pytest.mark.parametrize(("before", "more"), [(None, 5), (2, 3), (LARGEST - 5, 5)])
def test_below_it_sums_are_exact(before: int | None, more: int) -> None:
    assert added(before, more) == (before or 0) + more
