from __future__ import annotations

import pytest

from otelbridge.delivery.prometheus_names import family_name, label_name, unit_name
from otelbridge.telemetry.instrument import Instrument, InstrumentKind
from otelbridge.telemetry.instruments import INSTRUMENTS


def instrument(name: str, unit: str, kind: InstrumentKind) -> Instrument:
    return Instrument(name=name, kind=kind, unit=unit, description="What it is.")


# What Prometheus 3 itself made of these over OTLP; a counter's "_total" is the samples'.
@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        (
            "gen_ai.client.operation.duration",
            "s",
            InstrumentKind.HISTOGRAM,
            "gen_ai_client_operation_duration_seconds",
        ),
        ("agw.requests", "{request}", InstrumentKind.COUNTER, "agw_requests"),
        ("agw.requests.total", "1", InstrumentKind.COUNTER, "agw_requests"),
        ("otelbridge.journal.bytes", "By", InstrumentKind.GAUGE, "otelbridge_journal_bytes"),
        ("journal.oldest_age", "s", InstrumentKind.GAUGE, "journal_oldest_age_seconds"),
        ("wait.seconds", "s", InstrumentKind.COUNTER, "wait_seconds"),
        ("aibridge.cost", "{USD}", InstrumentKind.COUNTER, "aibridge_cost"),
        ("cache.hits", "1", InstrumentKind.GAUGE, "cache_hits_ratio"),
        ("active", "{call}", InstrumentKind.UP_DOWN_COUNTER, "active"),
        ("queue..size-now", "", InstrumentKind.GAUGE, "queue_size_now"),
        ("5xx", "", InstrumentKind.GAUGE, "_5xx"),
        ("memory", "KiBy", InstrumentKind.GAUGE, "memory_kibibytes"),
    ],
)
def test_names_are_those_of_prometheus_own_translation(
    name: str, unit: str, kind: InstrumentKind, expected: str
) -> None:
    assert family_name(instrument(name, unit, kind)) == expected


def test_a_unit_is_a_word_and_an_annotation_is_none() -> None:
    assert unit_name(instrument("a", "By", InstrumentKind.GAUGE)) == "bytes"
    assert unit_name(instrument("a", "{token}", InstrumentKind.GAUGE)) == ""


def test_labels_have_underscores() -> None:
    assert label_name("gen_ai.request.model") == "gen_ai_request_model"
    assert label_name("5.x") == "key_5_x"


def test_no_two_instruments_have_the_same_name() -> None:
    names = [family_name(each) for each in INSTRUMENTS.values()]

    assert len(set(names)) == len(names)
