from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from otelbridge.delivery.metrics import MetricsEncoder
from otelbridge.delivery.resource import encode_resource
from otelbridge.delivery.series import Reading, SeriesView
from otelbridge.delivery.temporality import DeltaBase
from otelbridge.domain.ledger import Distribution, Series
from tests.delivery.fakes import ENVELOPE, RESOURCE
from tests.delivery.instruments import (
    BORN_NS,
    GREP,
    GREP_TOOK,
    INSTRUMENTS,
    LEDGER,
    OBSERVED,
)

if TYPE_CHECKING:
    from otelbridge.delivery.metrics import MetricsExport
    from otelbridge.domain.ledger import SeriesKey

NOW_NS = BORN_NS + 10 * 10**9
READING = Reading.of(LEDGER, OBSERVED)
CUMULATIVE = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = pb.AGGREGATION_TEMPORALITY_DELTA


def encoder(*known: SeriesKey, delta: DeltaBase | None = None) -> MetricsEncoder:
    return MetricsEncoder(INSTRUMENTS, envelope=ENVELOPE, view=SeriesView(known), delta=delta)


def decoded(*exports: MetricsExport) -> dict[str, pb.Metric]:
    metrics: dict[str, pb.Metric] = {}
    for export in exports:
        (resource,) = ExportMetricsServiceRequest.FromString(export.body).resource_metrics
        (scope,) = resource.scope_metrics
        assert resource.resource == encode_resource(RESOURCE)
        assert scope.scope.name == "otelbridge"
        metrics |= {metric.name: metric for metric in scope.metrics}
    return metrics


def test_every_kind_has_its_own_form() -> None:
    metrics = decoded(*encoder(*LEDGER).exports(READING, now_ns=NOW_NS))

    forms = {name: metric.WhichOneof("data") for name, metric in metrics.items()}
    assert forms == {
        "test.calls": "sum",
        "test.cost": "sum",
        "test.duration": "histogram",
        "test.active": "sum",
        "test.size": "gauge",
    }
    assert metrics["test.calls"].sum.is_monotonic
    assert not metrics["test.active"].sum.is_monotonic
    assert metrics["test.calls"].sum.aggregation_temporality == CUMULATIVE
    assert (metrics["test.size"].unit, metrics["test.size"].description) == (
        "By",
        "How large it is.",
    )


def test_a_point_starts_at_the_birth_of_its_series() -> None:
    metrics = decoded(*encoder(*LEDGER).exports(READING, now_ns=NOW_NS))

    grep, _ = metrics["test.calls"].sum.data_points
    assert (grep.start_time_unix_nano, grep.time_unix_nano) == (BORN_NS, NOW_NS)
    assert [(pair.key, pair.value.string_value) for pair in grep.attributes] == [
        ("tool.name", "grep")
    ]


def test_a_point_never_ends_before_it_starts() -> None:
    metrics = decoded(*encoder(*LEDGER).exports(READING, now_ns=1))

    assert metrics["test.calls"].sum.data_points[0].time_unix_nano == BORN_NS


def test_integers_stay_integers_and_cost_is_scaled() -> None:
    metrics = decoded(*encoder(*LEDGER).exports(READING, now_ns=NOW_NS))

    assert [point.as_int for point in metrics["test.calls"].sum.data_points] == [5, 2]
    assert [point.as_double for point in metrics["test.cost"].sum.data_points] == [0.123456789]
    assert [point.as_double for point in metrics["test.size"].gauge.data_points] == [2.5]


def test_a_histogram_has_its_buckets_and_an_exemplar() -> None:
    metrics = decoded(*encoder(*LEDGER).exports(READING, now_ns=NOW_NS))

    (point,) = metrics["test.duration"].histogram.data_points
    assert list(point.bucket_counts) == [1, 2, 1]
    assert list(point.explicit_bounds) == [0.5, 1.0]
    assert (point.count, point.sum) == (4, 4.25)
    assert point.exemplars[0].trace_id == bytes(range(16))


def test_a_new_series_is_told_as_0_until_that_was_taken() -> None:
    metrics = encoder()

    first = metrics.exports(READING, now_ns=NOW_NS)
    again = metrics.exports(READING, now_ns=NOW_NS + 1)
    metrics.acknowledged(again[0])
    then = metrics.exports(READING, now_ns=NOW_NS + 2)

    for exports in (first, again):
        assert [point.as_int for point in decoded(*exports)["test.calls"].sum.data_points] == [0, 0]
        assert exports[0].zeros == 4
    assert decoded(*first)["test.duration"].histogram.data_points[0].count == 0
    assert decoded(*first)["test.active"].sum.data_points[0].as_int == 3
    assert [point.as_int for point in decoded(*then)["test.calls"].sum.data_points] == [5, 2]
    assert then[0].zeros == 0


def test_many_points_are_told_in_several_requests() -> None:
    exports = encoder(*LEDGER).exports(READING, now_ns=NOW_NS, max_points=2)

    assert [len(export.points) for export in exports] == [2, 2, 2]
    assert set(decoded(*exports)) == set(INSTRUMENTS)


def test_nothing_to_tell_is_no_request() -> None:
    assert encoder().exports(Reading.of({}, []), now_ns=NOW_NS) == []


def test_delta_tells_what_changed_since_it_was_last_taken() -> None:
    metrics = encoder(*LEDGER, delta=DeltaBase())
    for export in metrics.exports(READING, now_ns=NOW_NS):
        metrics.acknowledged(export)
    more: dict[SeriesKey, Series] = {
        **LEDGER,
        GREP: Series(BORN_NS, 8),
        GREP_TOOK: Series(BORN_NS, Distribution((1, 3, 1), 5.0)),
    }

    exports = metrics.exports(Reading.of(more, OBSERVED), now_ns=NOW_NS + 1)

    told = decoded(*exports)
    (grep,) = told["test.calls"].sum.data_points
    (took,) = told["test.duration"].histogram.data_points
    assert told["test.calls"].sum.aggregation_temporality == DELTA
    assert (grep.as_int, grep.start_time_unix_nano, grep.time_unix_nano) == (3, NOW_NS, NOW_NS + 1)
    assert (list(took.bucket_counts), took.sum) == ([0, 1, 0], 0.75)
    assert "test.cost" not in told
    assert told["test.active"].sum.aggregation_temporality == CUMULATIVE


def test_delta_of_a_new_series_is_0_and_then_everything() -> None:
    metrics = encoder(delta=DeltaBase())
    (first,) = metrics.exports(READING, now_ns=NOW_NS)
    metrics.acknowledged(first)

    (then,) = metrics.exports(READING, now_ns=NOW_NS + 1)

    zero, _ = decoded(first)["test.calls"].sum.data_points
    grep, _ = decoded(then)["test.calls"].sum.data_points
    assert (zero.as_int, zero.start_time_unix_nano) == (0, BORN_NS)
    assert (grep.as_int, grep.start_time_unix_nano) == (5, NOW_NS)
