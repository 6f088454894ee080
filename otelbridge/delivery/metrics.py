"""Metrics as OTLP export requests.

Source: opentelemetry-proto v1, metrics.proto.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from otelbridge.delivery.series import GROWING, scaled
from otelbridge.domain.ledger import Distribution
from otelbridge.telemetry.instrument import InstrumentKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.delivery.requests import Envelope
    from otelbridge.delivery.series import Point, Reading, SeriesView
    from otelbridge.delivery.temporality import DeltaBase
    from otelbridge.domain.ledger import Exemplar, SeriesKey
    from otelbridge.telemetry.instrument import Instrument

#: About 400 bytes a histogram's point: well under the 4 MiB that a gRPC server takes.
MAX_POINTS = 2000


class MetricsExport(NamedTuple):
    """One export request and what it tells.

    Attributes:
        body: The encoded request.
        points: The points in it, as totals.
        at_ns: The points' time.
        zeros: How many of them are 0 for now because they are new.
    """

    body: bytes
    points: list[Point]
    at_ns: int
    zeros: int


class _Told(NamedTuple):
    """A point as a total, and as the destination is shown it."""

    instrument: Instrument
    total: Point
    shown: Point


class MetricsEncoder:
    """Makes one destination's metrics, and knows what it has seen of them.

    Args:
        instruments: What is told, by name.
        envelope: What is around every request.
        view: Which series the destination has seen.
        delta: What it has acknowledged, if it wants changes; None for totals.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        envelope: Envelope,
        view: SeriesView,
        delta: DeltaBase | None = None,
    ) -> None:
        self._instruments = instruments
        self._envelope = envelope
        self._view = view
        self._delta = delta

    def exports(
        self, reading: Reading, *, now_ns: int, max_points: int = MAX_POINTS
    ) -> list[MetricsExport]:
        """Return the requests that tell a reading; none if there is nothing to tell."""
        zero = self._view.unseen(reading.series)
        told = [
            _Told(family.instrument, point, shown)
            for family in reading.families(self._instruments, zero=zero)
            for point in family.points
            if (shown := self._shown(family.instrument, point)) is not None
        ]
        parts = [told[start : start + max_points] for start in range(0, len(told), max_points)]
        return [self._export(part, zero, now_ns=now_ns) for part in parts]

    def acknowledged(self, export: MetricsExport) -> None:
        """Note that the destination has taken a request."""
        self._view.saw(point.key for point in export.points)
        if self._delta is not None:
            growing = (
                point for point in export.points if self._instruments[point.key[0]].kind in GROWING
            )
            self._delta.acknowledge(growing, at_ns=export.at_ns)

    def _shown(self, instrument: Instrument, point: Point) -> Point | None:
        if self._delta is None or instrument.kind not in GROWING:
            return point
        return self._delta.change(point)

    def _export(
        self, told: list[_Told], zero: frozenset[SeriesKey], *, now_ns: int
    ) -> MetricsExport:
        is_delta = self._delta is not None
        metrics = pb.ScopeMetrics(
            metrics=[
                _metric(instrument, [each.shown for each in group], now_ns, is_delta=is_delta)
                for instrument, group in groupby(told, key=attrgetter("instrument"))
            ]
        )
        zeros = [each.total for each in told if each.instrument.kind in GROWING]
        return MetricsExport(
            body=self._envelope.wrap([metrics.SerializeToString(deterministic=True)]),
            points=[each.total for each in told],
            at_ns=now_ns,
            zeros=sum(point.key in zero for point in zeros),
        )


def _metric(
    instrument: Instrument, points: list[Point], now_ns: int, *, is_delta: bool
) -> pb.Metric:
    metric = pb.Metric(
        name=instrument.name, description=instrument.description, unit=instrument.unit
    )
    temporality = _temporality(instrument, is_delta=is_delta)
    if instrument.kind is InstrumentKind.HISTOGRAM:
        metric.histogram.aggregation_temporality = temporality
        metric.histogram.data_points.extend(
            _histogram_point(point, point.value, instrument.bounds, now_ns=now_ns)
            for point in points
            if isinstance(point.value, Distribution)
        )
        return metric
    numbers = [
        _number_point(point, scaled(point.value, instrument.scale), now_ns=now_ns)
        for point in points
        if not isinstance(point.value, Distribution)
    ]
    if instrument.kind is InstrumentKind.GAUGE:
        metric.gauge.data_points.extend(numbers)
        return metric
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = instrument.kind is InstrumentKind.COUNTER
    metric.sum.data_points.extend(numbers)
    return metric


def _temporality(instrument: Instrument, *, is_delta: bool) -> pb.AggregationTemporality.ValueType:
    """Up-down counters stay totals ("Metrics exporter", temporality preference "delta")."""
    if is_delta and instrument.kind in GROWING:
        return pb.AGGREGATION_TEMPORALITY_DELTA
    return pb.AGGREGATION_TEMPORALITY_CUMULATIVE


def _number_point(point: Point, value: float, *, now_ns: int) -> pb.NumberDataPoint:
    data = pb.NumberDataPoint(
        attributes=_attributes(point),
        start_time_unix_nano=point.born_at_ns,
        time_unix_nano=max(now_ns, point.born_at_ns),
    )
    if isinstance(value, int):
        data.as_int = value
    else:
        data.as_double = value
    return data


def _histogram_point(
    point: Point, value: Distribution, bounds: tuple[float, ...], *, now_ns: int
) -> pb.HistogramDataPoint:
    return pb.HistogramDataPoint(
        attributes=_attributes(point),
        start_time_unix_nano=point.born_at_ns,
        time_unix_nano=max(now_ns, point.born_at_ns),
        count=value.samples,
        sum=value.total,
        bucket_counts=value.counts,
        explicit_bounds=bounds,
        exemplars=[_exemplar(value.exemplars[bucket]) for bucket in sorted(value.exemplars)],
    )


def _exemplar(exemplar: Exemplar) -> pb.Exemplar:
    return pb.Exemplar(
        time_unix_nano=exemplar.at_ns,
        as_double=exemplar.value,
        trace_id=exemplar.trace_id,
        span_id=exemplar.span_id,
    )


def _attributes(point: Point) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in point.labels.items()
    ]
