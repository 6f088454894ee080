"""A small OTLP receiver: takes everything over gRPC on loopback, keeps the spans."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from google.protobuf.message import Message
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

_PREFIX = "/opentelemetry.proto.collector"
_TRACES = f"{_PREFIX}.trace.v1.TraceService/Export"
_ANSWERS: Mapping[str, Message] = {
    _TRACES: ExportTraceServiceResponse(),
    f"{_PREFIX}.metrics.v1.MetricsService/Export": ExportMetricsServiceResponse(),
    f"{_PREFIX}.logs.v1.LogsService/Export": ExportLogsServiceResponse(),
}


class OtlpReceiver(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Takes telemetry, as a collector does; for the demonstration.

    Attributes:
        spans: Every span that was taken, in the order of arrival.
        endpoint: Where it listens, as a destination's ``endpoint``.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.endpoint = ""
        self._arrived = asyncio.Event()
        self._server: Any = None

    async def start(self) -> None:
        """Listen on a free loopback port."""
        self._server = grpc.aio.server(options=(("grpc.max_receive_message_length", -1),))
        self._server.add_generic_rpc_handlers((self,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"http://127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """Close."""
        await self._server.stop(None)

    async def wait_until(self, is_enough: Callable[[Sequence[Span]], bool]) -> None:
        """Return when enough spans have come."""
        while not is_enough(self.spans):
            self._arrived.clear()
            await self._arrived.wait()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what serves a call."""
        path = handler_call_details.method
        if path not in _ANSWERS:
            return None
        answer = _ANSWERS[path].SerializeToString()

        async def export(raw: bytes, _context: Any) -> bytes:
            if path == _TRACES:
                self._take(ExportTraceServiceRequest.FromString(raw))
            return answer

        return grpc.unary_unary_rpc_method_handler(export)

    def _take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        self._arrived.set()
