"""A local OTLP/gRPC collector that notes how many spans came, and from when to when."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio
import uvloop
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.helper import answer_until_eof

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_SERVICE: Final = "opentelemetry.proto.collector.{0}.v1.{1}Service"


@dataclass(slots=True)
class Drained:
    """What arrived so far.

    Attributes:
        requests: Export calls with spans.
        spans: Spans in them.
        ids: Different spans.
        seconds: From the first request to the last.
    """

    requests: int = 0
    spans: int = 0
    ids: int = 0
    seconds: float = 0.0


class _Sink:
    def __init__(self) -> None:
        self._drained = Drained()
        self._ids: set[bytes] = set()
        self._began: float | None = None

    def report(self) -> str:
        self._drained.ids = len(self._ids)
        return json.dumps(asdict(self._drained))

    async def take_traces(self, request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        if self._began is None:
            self._began = time.monotonic()
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            for scope in resource.scope_spans:
                self._drained.spans += len(scope.spans)
                self._ids.update(span.span_id for span in scope.spans)
        self._drained.requests += 1
        self._drained.seconds = time.monotonic() - self._began
        return b""

    async def take_others(self, _request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        return b""


def _handlers(
    signal: str, export: Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]
) -> grpc.GenericRpcHandler:
    name = _SERVICE.format(signal, signal.capitalize())
    methods = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    return grpc.method_handlers_generic_handler(name, methods)


async def _serve() -> None:
    sink = _Sink()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    exports = {"trace": sink.take_traces, "metrics": sink.take_others, "logs": sink.take_others}
    server.add_generic_rpc_handlers(tuple(_handlers(*each) for each in exports.items()))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await answer_until_eof(port, sink.report)
    await server.stop(grace=None)


if __name__ == "__main__":
    uvloop.run(_serve())
