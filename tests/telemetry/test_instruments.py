"""The instruments: what is declared agrees with the conventions and with itself."""

from __future__ import annotations

import pytest
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics, rpc_metrics

from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.instrument import InstrumentKind
from otelbridge.telemetry.instruments import (
    DURATION_BOUNDS,
    INSTRUMENTS,
    TOKEN_BOUNDS,
    instruments_of,
)

HISTOGRAMS = [each for each in INSTRUMENTS.values() if each.kind is InstrumentKind.HISTOGRAM]


def test_every_label_is_an_attribute_that_is_declared() -> None:
    labels = {key for each in INSTRUMENTS.values() for key in each.attributes}

    assert labels <= sc.ATTRIBUTES.keys()


def test_only_a_histogram_has_bounds_and_they_ascend() -> None:
    for instrument in INSTRUMENTS.values():
        is_histogram = instrument.kind is InstrumentKind.HISTOGRAM
        assert bool(instrument.bounds) == is_histogram
        assert list(instrument.bounds) == sorted(set(instrument.bounds))


def test_token_buckets_are_powers_of_four() -> None:
    assert TOKEN_BOUNDS[:4] == (1, 4, 16, 64)
    assert TOKEN_BOUNDS[-1] == 67_108_864


def test_duration_buckets_double_from_ten_milliseconds() -> None:
    assert DURATION_BOUNDS[:5] == (0.01, 0.02, 0.04, 0.08, 0.16)
    assert DURATION_BOUNDS[-3:] == (20.48, 40.96, 81.92)
    assert len(DURATION_BOUNDS) == 14


def test_conventional_metrics_are_those_of_the_package() -> None:
    known = {**vars(gen_ai_metrics), **vars(rpc_metrics)}.values()
    conventional = {name for name in INSTRUMENTS if name.startswith(("gen_ai.", "rpc."))}

    # The package's GenAI part ended with 1.41.
    assert conventional - set(filter(lambda value: isinstance(value, str), known)) == set(
        sc.PROFILES["latest"].metrics
    )


@pytest.mark.parametrize("name", sc.PROFILES)
def test_every_metric_of_a_profile_is_declared(name: str) -> None:
    assert sc.PROFILES[name].metrics <= INSTRUMENTS.keys()


def test_a_destination_is_sent_the_metrics_of_its_profile_and_the_common_ones() -> None:
    stable = instruments_of(sc.PROFILES["v1_41"]).keys()

    assert {name for name in stable if name.startswith("gen_ai.")} == {
        "gen_ai.client.token.usage",
        "gen_ai.client.operation.duration",
    }
    assert {"aibridge.cost", "otelbridge.delivery.lag", "rpc.server.call.duration"} <= stable


@pytest.mark.parametrize("instrument", HISTOGRAMS, ids=lambda each: each.name)
def test_a_duration_is_in_seconds_and_a_count_in_tokens(instrument: object) -> None:
    assert getattr(instrument, "unit", None) in {"s", "{token}"}


def test_what_is_observed_is_not_in_the_ledger() -> None:
    observed = {name for name, each in INSTRUMENTS.items() if not each.durable}

    assert observed == {
        "aibridge.budget.limit",
        "aibridge.budget.spent",
        "aibridge.budget.utilization",
        "aibridge.interceptions.active",
        "otelbridge.delivery.dead_letters",
        "otelbridge.delivery.lag",
        "otelbridge.delivery.waiting",
        "otelbridge.gateway.sessions",
        "otelbridge.journal.bytes",
        "otelbridge.journal.disk_full",
        "otelbridge.journal.free",
        "otelbridge.journal.unread",
        "otelbridge.journal.oldest_age",
        "otelbridge.journal.records",
        "otelbridge.journal.refusing",
        "otelbridge.store.age",
    }


def test_cost_is_told_in_dollars_and_booked_in_billionths() -> None:
    cost = INSTRUMENTS["aibridge.cost"]

    assert (cost.unit, round(3_000_000_000 * cost.scale, 9)) == ("{USD}", 3)
