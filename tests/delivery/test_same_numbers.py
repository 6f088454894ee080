"""/metrics and OTLP are two views of one ledger: they say the same numbers."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from otelbridge.delivery.metrics import MetricsEncoder
from otelbridge.delivery.prometheus import Exposition
from otelbridge.delivery.prometheus_names import family_name, label_name
from otelbridge.delivery.series import Reading, SeriesView
from otelbridge.telemetry.instrument import InstrumentKind
from tests.delivery.fakes import ENVELOPE, FakeTime
from tests.delivery.instruments import BORN_NS, INSTRUMENTS, LEDGER, OBSERVED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.metrics.v1.metrics_pb2 import (
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
    )

Numbers: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]


def numbers_of_otlp(view: SeriesView) -> Numbers:
    """Return every number of an OTLP export, named as Prometheus would."""
    encoder = MetricsEncoder(INSTRUMENTS, envelope=ENVELOPE, view=view)
    (export,) = encoder.exports(Reading.of(LEDGER, OBSERVED), now_ns=BORN_NS)
    (resource,) = ExportMetricsServiceRequest.FromString(export.body).resource_metrics
    found: Numbers = {}
    for metric in resource.scope_metrics[0].metrics:
        name = family_name(INSTRUMENTS[metric.name])
        for histogram in metric.histogram.data_points:
            found |= numbers_of_histogram(name, histogram)
        for number in (*metric.sum.data_points, *metric.gauge.data_points):
            found[name + suffix(metric), labels_of(number)] = number.as_int or number.as_double
    return found


def suffix(metric: Metric) -> str:
    return "_total" if INSTRUMENTS[metric.name].kind is InstrumentKind.COUNTER else ""


def numbers_of_histogram(name: str, point: HistogramDataPoint) -> Numbers:
    labels = labels_of(point)
    limits = (*map(str, point.explicit_bounds), "+Inf")
    buckets = zip(limits, accumulate(point.bucket_counts), strict=True)
    return {
        (f"{name}_sum", labels): point.sum,
        (f"{name}_count", labels): point.count,
        **{(f"{name}_bucket", labels | {("le", le)}): total for le, total in buckets},
    }


def labels_of(point: NumberDataPoint | HistogramDataPoint) -> frozenset[tuple[str, str]]:
    return frozenset((label_name(pair.key), pair.value.string_value) for pair in point.attributes)


def numbers_of_page(scraper: tuple[str, str] | None) -> Numbers:
    shown = Exposition(INSTRUMENTS, resource={}, now_ns=FakeTime().now_ns)
    body, _ = shown.render(LEDGER, OBSERVED, accept="", scraper=scraper)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        if family.name != "target_info"
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("scraper", "known"), [(None, LEDGER), (("10.0.0.1", "Prometheus/3.15.0"), [])]
)
def test_the_numbers_are_the_same(
    scraper: tuple[str, str] | None, known: Iterable[tuple[str, tuple[str, ...]]]
) -> None:
    assert numbers_of_page(scraper) == numbers_of_otlp(SeriesView(known))
