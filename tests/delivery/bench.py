"""What a collector's faults are tried with: an outbox, a clock, and exporters over sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from otelbridge.delivery.otlp_grpc import GrpcExporter
from otelbridge.delivery.otlp_http import HttpExporter
from otelbridge.delivery.renewal import RenewableExporter
from otelbridge.domain.ports import Signal
from tests.collector import Collector
from tests.delivery.fakes import (
    FakeTime,
    MemoryOutbox,
    destination,
    running,
    span,
    traces_lane,
    traces_worker,
)

if TYPE_CHECKING:
    from otelbridge.delivery.outcomes import Exporter

PROTOCOLS = ("grpc", "http/protobuf")
DELIVERED = ("otelbridge.delivery.delivered", "d", "traces")
REJECTED = ("otelbridge.delivery.rejected", "d", "traces")
BURIED = ("otelbridge.delivery.dead_lettered", "d", "traces")
RETRIES = ("otelbridge.delivery.retries", "d", "traces")


class Bench:
    """An outbox and a clock; exporters that are closed at the end."""

    def __init__(self, outbox: MemoryOutbox, time: FakeTime) -> None:
        self.outbox = outbox
        self.time = time
        self.exporters: list[Exporter] = []

    def exporter(self, protocol: str, port: int, **settings: Any) -> Exporter:
        """Return an exporter as delivery makes it."""
        config = destination(f"http://127.0.0.1:{port}", protocol=protocol, **settings)

        def make() -> Exporter:
            if protocol == "grpc":
                return GrpcExporter(config, user_agent="test")
            return HttpExporter(config, user_agent="test", now_ns=self.time.now_ns)

        self.exporters.append(RenewableExporter(make))
        return self.exporters[-1]

    async def deliver(self, exporter: Exporter, *, count: int) -> None:
        """Deliver until so many rows are acknowledged."""
        lane = traces_lane(exporter, self.outbox, self.time)
        async with running(lane, traces_worker(lane, self.outbox)), asyncio.timeout(30):
            await self.outbox.until_taken(count)


def port_of(collector: Collector, protocol: str) -> int:
    """Return the port of a collector for a protocol."""
    if protocol == "grpc":
        return collector.grpc_port
    return int(collector.http_endpoint.rpartition(":")[2])


def names(collector: Collector) -> list[str]:
    """Return the names of the spans that were taken, in their order."""
    return [each.name for each in collector.spans]


def put(outbox: MemoryOutbox, count: int) -> list[str]:
    """Put so many spans into an outbox; return their names."""
    wanted = [f"span {number}" for number in range(count)]
    outbox.put(Signal.TRACES, *map(span, wanted))
    return wanted
