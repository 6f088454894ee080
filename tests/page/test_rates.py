"""Rates: what arrived in the last minutes."""

from __future__ import annotations

from otelbridge.domain.ledger import Distribution, Series
from otelbridge.page.rates import STEPS, History, Rates, Sample, sample_of
from tests.page.views import ns


def _history(*samples: tuple[float, int]) -> History:
    history = History()
    for at_s, records in samples:
        history.add(Sample(ns(at_s), records=records))
    return history


def test_nothing_is_known_before_there_are_two_samples() -> None:
    assert _history((0, 10)).rates() == Rates()


def test_a_bar_is_what_arrived_between_two_samples() -> None:
    rates = _history((0, 10), (2, 14), (4, 14), (6, 24)).rates()

    assert rates.bars == (4, 0, 10)
    assert rates.records == 14 / 6


def test_rates_are_of_the_last_minute() -> None:
    many = [(2.0 * step, 100 * step if step <= 10 else 1000) for step in range(60)]

    rates = _history(*many).rates()

    assert (rates.seconds, rates.records) == (60.0, 0.0)
    assert sum(rates.bars) == 1000


def test_three_minutes_are_kept() -> None:
    rates = _history(*[(2.0 * step, step) for step in range(500)]).rates()

    assert rates.bars == (1,) * STEPS


def test_each_rate_has_its_unit() -> None:
    history = History()
    history.add(Sample(ns(0)))
    history.add(Sample(ns(30), records=60, interceptions=6, errors=3, cost_nanos=10**9))

    rates = history.rates()

    assert (rates.records, rates.interceptions, rates.errors) == (2.0, 12.0, 6.0)
    assert rates.cost_nanos == 120 * 10**9


def test_a_sample_adds_up_the_ledger_s_counters() -> None:
    labels = ("anthropic", "claude", "Claude Code")
    sample = sample_of(
        {
            ("otelbridge.records.received", ("start", "")): Series(0, 3),
            ("otelbridge.records.received", ("end", "eu-1")): Series(0, 2),
            ("aibridge.interceptions", (*labels, "completed", "")): Series(0, 4),
            ("aibridge.interceptions", (*labels, "error", "")): Series(0, 1),
            ("aibridge.cost", (*labels, "input", "")): Series(0, 70),
            ("aibridge.prompts", labels): Series(0, 99),
            ("gen_ai.client.operation.duration", labels): Series(0, Distribution((1,), 1.0)),
        },
        at_ns=5,
    )

    assert sample == Sample(5, records=5, interceptions=5, errors=1, cost_nanos=70)
