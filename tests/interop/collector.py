"""The OpenTelemetry Collector: takes OTLP over gRPC and over HTTP, each into a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.interop import otlp
from tests.interop.bridge import Destination
from tests.interop.programs import PEERS, Program, environment, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import (
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
    )
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

#: How a destination names the two protocols of OTLP.
PROTOCOLS = ("grpc", "http/protobuf")


@dataclass(frozen=True)
class Received:
    """What came in over one protocol.

    Attributes:
        file: One line of OTLP JSON for each export; the last may be incomplete.
    """

    file: Path

    def documents(self) -> Iterator[otlp.Json]:
        """Yield the exports in the order in which they came."""
        lines = self.file.read_text().splitlines(keepends=True) if self.file.exists() else []
        return (otlp.load(line) for line in lines if line.endswith("\n"))

    def spans(self) -> list[Span]:
        """Return all spans."""
        return [span for document in self.documents() for span in otlp.spans(document)]

    def log_records(self) -> list[LogRecord]:
        """Return all log records."""
        return [record for document in self.documents() for record in otlp.log_records(document)]

    def metrics(self, name: str) -> list[Metric]:
        """Return a metric's exports in the order in which they came."""
        told = (metric for document in self.documents() for metric in otlp.metrics(document))
        return [metric for metric in told if metric.name == name]

    def counter(self, name: str, by: str | None = None) -> dict[otlp.Value, float]:
        """Return a counter's latest value for each value of an attribute."""
        return _totals([(p, _number(p)) for m in self.metrics(name) for p in m.sum.data_points], by)

    def histogram_sum(self, name: str, by: str | None = None) -> dict[otlp.Value, float]:
        """Return a histogram's latest sum for each value of an attribute."""
        points = [p for m in self.metrics(name) for p in m.histogram.data_points]
        return _totals([(p, p.sum) for p in points], by)

    def histogram_count(self, name: str, by: str | None = None) -> dict[otlp.Value, float]:
        """Return how many values a histogram has for each value of an attribute."""
        points = [p for m in self.metrics(name) for p in m.histogram.data_points]
        return _totals([(p, p.count) for p in points], by)


def _number(point: NumberDataPoint) -> float:
    return float(getattr(point, point.WhichOneof("value") or "as_int"))


def _totals(
    points: list[tuple[NumberDataPoint | HistogramDataPoint, float]], by: str | None
) -> dict[otlp.Value, float]:
    """Add up the last value of each series by one attribute; without one, under None."""
    latest: dict[str, tuple[otlp.Value, float]] = {}
    for point, value in points:
        labels = otlp.attributes(point.attributes)
        group = None if by is None else labels.get(by)
        latest[repr(sorted(labels.items()))] = (group, value)
    totals: dict[otlp.Value, float] = {}
    for group, value in latest.values():
        totals[group] = totals.get(group, 0) + value
    return totals


@dataclass(frozen=True, kw_only=True)
class Collector:
    """A running collector.

    Attributes:
        ports: Where it takes OTLP over each protocol.
        over: What it received over each protocol.
    """

    program: Program
    ports: dict[str, int]
    over: dict[str, Received]


def destinations(collector: Collector, *signals: str) -> list[Destination]:
    """Return two destinations, so that a bridge delivers everything by both protocols."""
    return [
        Destination(name=f"by-{protocol[:4]}", protocol=protocol, port=port, signals=signals)
        for protocol, port in collector.ports.items()
    ]


def start_collector(executable: Path, folder: Path) -> Collector:
    """Start a collector on free ports and wait until it is healthy."""
    otlp_grpc, otlp_http, health = free_ports(3)
    files = (folder / "grpc.jsonl", folder / "http.jsonl")
    program = Program(
        [executable, "--config", PEERS / "otelcol" / "config.yaml"],
        folder=folder,
        env=environment(
            OTLP_GRPC=str(otlp_grpc),
            OTLP_HTTP=str(otlp_http),
            HEALTH=str(health),
            GRPC_FILE=str(files[0]),
            HTTP_FILE=str(files[1]),
        ),
    )
    program.await_health(f"http://127.0.0.1:{health}/")
    return Collector(
        program=program,
        ports=dict(zip(PROTOCOLS, (otlp_grpc, otlp_http), strict=True)),
        over=dict(zip(PROTOCOLS, map(Received, files), strict=True)),
    )
