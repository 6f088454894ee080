"""Jaeger: takes OTLP, keeps traces in memory, gives them back by its HTTP API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.interop import otlp
from tests.interop.programs import PEERS, Program, environment, fetch, free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True, kw_only=True)
class Jaeger:
    """A running Jaeger.

    Attributes:
        grpc_port: Where it takes OTLP over gRPC.
        http_port: Where it takes OTLP over HTTP.
        query: The base address of its API.
    """

    program: Program
    grpc_port: int
    http_port: int
    query: str

    def raw_trace(self, trace_id: bytes) -> str:
        """Return everything that Jaeger knows of a trace, as JSON."""
        return fetch(f"{self.query}/api/v3/traces/{trace_id.hex()}").text

    def trace(self, trace_id: bytes, *, spans: int) -> list[Span]:
        """Return the spans of a trace that has exactly so many."""
        found = list(otlp.spans(otlp.load(self.raw_trace(trace_id))["result"]))
        assert len(found) == spans, f"{trace_id.hex()}: {len(found)} of {spans} spans"
        return found


def start_jaeger(executable: Path, folder: Path) -> Jaeger:
    """Start Jaeger on free ports and wait until it is healthy."""
    otlp_grpc, otlp_http, query_http, query_grpc, health = free_ports(5)
    program = Program(
        [executable, "--config", PEERS / "jaeger" / "config.yaml"],
        folder=folder,
        env=environment(
            OTLP_GRPC=str(otlp_grpc),
            OTLP_HTTP=str(otlp_http),
            QUERY_HTTP=str(query_http),
            QUERY_GRPC=str(query_grpc),
            HEALTH=str(health),
        ),
    )
    program.await_health(f"http://127.0.0.1:{health}/status")
    return Jaeger(
        program=program,
        grpc_port=otlp_grpc,
        http_port=otlp_http,
        query=f"http://127.0.0.1:{query_http}",
    )
