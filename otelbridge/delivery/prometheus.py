"""The exposition: the ledger as Prometheus text or OpenMetrics.

Source: Prometheus text format 0.0.4; OpenMetrics 1.0.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from math import inf
from threading import Lock
from typing import TYPE_CHECKING

from prometheus_client import exposition as text_format
from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as ExemplarSample
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from otelbridge.delivery.accept import wants_openmetrics
from otelbridge.delivery.prometheus_names import family_name, label_name, unit_name
from otelbridge.delivery.series import Reading, SeriesView, scaled
from otelbridge.domain.ledger import Distribution
from otelbridge.telemetry.instrument import InstrumentKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from otelbridge.delivery.series import Family, Observation, Point
    from otelbridge.domain.ledger import Exemplar, Series, SeriesKey
    from otelbridge.telemetry.instrument import Instrument

#: More would be attackers or a broken proxy: a team has two Prometheus servers.
MAX_SCRAPERS = 16

#: A scraper that is new to us may have scraped this bridge before, under another
#: address or version: showing it 0 for an old series would be a counter's reset,
#: and its increase() would count everything twice. Five minutes are five scrapes
#: at Prometheus' default interval.
NEWCOMER_NS = 300 * 10**9

_TYPES = {
    InstrumentKind.COUNTER: "counter",
    InstrumentKind.UP_DOWN_COUNTER: "gauge",
    InstrumentKind.GAUGE: "gauge",
    InstrumentKind.HISTOGRAM: "histogram",
}


class Exposition:
    """What /metrics answers.

    Args:
        instruments: Everything that is declared, by name.
        resource: Attributes for ``target_info``.
        known: Series that were there when the process started: every scraper
            can have seen them.
        now_ns: The time.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        resource: Mapping[str, object],
        known: Iterable[SeriesKey] = (),
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._instruments = instruments
        self._target = {label_name(key): str(value) for key, value in resource.items()}
        self._known = frozenset(known)
        self._now_ns = now_ns
        self._views: OrderedDict[tuple[str, str], SeriesView] = OrderedDict()
        self._lock = Lock()

    def render(
        self,
        snapshot: Mapping[SeriesKey, Series],
        observations: Iterable[Observation],
        *,
        accept: str,
        scraper: tuple[str, str] | None,
    ) -> tuple[bytes, str]:
        """Return a page and its content type. May be called in any thread.

        Args:
            snapshot: The ledger's series.
            observations: What is not in the ledger.
            accept: The request's Accept header. There is always an answer: a
                scraper that asks for protobuf first takes text as well.
            scraper: Address and User-Agent of a Prometheus, known by its
                X-Prometheus-Scrape-Timeout-Seconds header: it is shown 0 first
                for every new series. None sees the truth.
        """
        reading = Reading.of(snapshot, observations)
        zero: frozenset[SeriesKey] = frozenset()
        if scraper is not None:
            zero = self._first_seen(scraper, reading)
        families = reading.families(self._instruments, zero=zero)
        is_openmetrics = wants_openmetrics(accept)
        page = _Page(families, self._target, is_openmetrics=is_openmetrics)
        if is_openmetrics:
            body: bytes = openmetrics.generate_latest(page)  # type: ignore[no-untyped-call]  # has no types
            return body, openmetrics.CONTENT_TYPE_LATEST
        return text_format.generate_latest(page), text_format.CONTENT_TYPE_PLAIN_0_0_4

    def _first_seen(self, scraper: tuple[str, str], reading: Reading) -> frozenset[SeriesKey]:
        with self._lock:
            view = self._views.pop(scraper, None)
            if view is None:
                view = self._newcomer(reading)
            self._views[scraper] = view
            if len(self._views) > MAX_SCRAPERS:
                self._views.popitem(last=False)
            zero = view.unseen(reading.series)
            view.saw(zero)
            return zero

    def _newcomer(self, reading: Reading) -> SeriesView:
        old = self._now_ns() - NEWCOMER_NS
        view = SeriesView(self._known)
        view.saw(key for key, (born_at_ns, _) in reading.series.items() if born_at_ns < old)
        return view


class _Page(Collector):
    """One page's families, in the form that prometheus-client writes."""

    def __init__(
        self, families: list[Family], target: dict[str, str], *, is_openmetrics: bool
    ) -> None:
        self._families = families
        self._target = target
        self._is_openmetrics = is_openmetrics

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("target", "Attributes of the resource.", value=self._target)
        for family in self._families:
            yield self._metric(family)

    def _metric(self, family: Family) -> Metric:
        instrument = family.instrument
        name, unit = family_name(instrument), unit_name(instrument)
        # A UNIT that is not the name's suffix makes Prometheus refuse the whole page.
        metric = Metric(
            name,
            instrument.description,
            _TYPES[instrument.kind],
            unit=unit if unit and name.endswith(f"_{unit}") else "",
        )
        for point in family.points:
            metric.samples.extend(_samples(name, instrument, point))
            if self._is_openmetrics and point.born_at_ns and metric.type != "gauge":
                metric.samples.append(
                    Sample(f"{name}_created", _labels(point), point.born_at_ns / 1e9)
                )
        return metric


def _samples(name: str, instrument: Instrument, point: Point) -> list[Sample]:
    labels = _labels(point)
    if isinstance(point.value, Distribution):
        return _histogram(name, instrument.bounds, labels, point.value)
    suffix = "_total" if instrument.kind is InstrumentKind.COUNTER else ""
    return [Sample(f"{name}{suffix}", labels, scaled(point.value, instrument.scale))]


def _histogram(
    name: str, bounds: tuple[float, ...], labels: dict[str, str], value: Distribution
) -> list[Sample]:
    samples = []
    count = 0
    for bucket, (bound, more) in enumerate(zip((*bounds, inf), value.counts, strict=True)):
        count += more
        exemplar = value.exemplars.get(bucket)
        samples.append(
            Sample(
                f"{name}_bucket",
                labels | {"le": _le(bound)},
                count,
                exemplar=None if exemplar is None else _exemplar(exemplar),
            )
        )
    samples.append(Sample(f"{name}_count", labels, count))
    samples.append(Sample(f"{name}_sum", labels, value.total))
    return samples


def _le(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]  # has no types


def _exemplar(exemplar: Exemplar) -> ExemplarSample:
    labels = {"trace_id": exemplar.trace_id.hex(), "span_id": exemplar.span_id.hex()}
    return ExemplarSample(labels, exemplar.value, exemplar.at_ns / 1e9)


def _labels(point: Point) -> dict[str, str]:
    return {label_name(key): value for key, value in point.labels.items()}
