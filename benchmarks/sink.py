"""A local OTLP/gRPC collector that keeps only count of the interceptions it is told.

It runs niced: delivery has to be alive, but a collector is not what is measured.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio
import uvloop
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.counts import SinkCounts
from benchmarks.helper import answer_until_eof

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

_NICENESS: Final = 10
_SERVICE: Final = "opentelemetry.proto.collector.{0}.v1.{1}Service"


class _Sink:
    def __init__(self) -> None:
        self._counts = SinkCounts()
        self._trace_ids: set[bytes] = set()

    def report(self) -> str:
        return json.dumps(asdict(self._counts))

    async def take_traces(self, request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        self._counts.requests += 1
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self._count(span)
        return b""

    async def take_others(self, _request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        self._counts.requests += 1
        return b""

    def _count(self, span: Span) -> None:
        self._counts.spans += 1
        if span.name != "chat" and not span.name.startswith("chat "):
            return
        self._counts.chat_spans += 1
        if span.trace_id not in self._trace_ids:
            self._trace_ids.add(span.trace_id)
            self._counts.interceptions += 1
            self._counts.id_sum += int.from_bytes(span.trace_id)


async def _serve() -> None:
    sink = _Sink()
    exports = {"trace": sink.take_traces, "metrics": sink.take_others, "logs": sink.take_others}
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    for signal, export in exports.items():
        name = _SERVICE.format(signal, signal.capitalize())
        methods = {"Export": grpc.unary_unary_rpc_method_handler(export)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await answer_until_eof(port, sink.report)
    await server.stop(grace=None)


if __name__ == "__main__":
    os.nice(_NICENESS)
    uvloop.run(_serve())
