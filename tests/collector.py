"""A scripted OTLP collector: real gRPC and HTTP servers on loopback, answers by script.

async with Collector() as collector:
    collector.script(Answer(code=grpc.StatusCode.UNAVAILABLE, http_status=503))
    ...  # send to collector.grpc_endpoint or collector.http_endpoint
    await collector.wait_for(lambda c: len(c.spans) == 3)
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

import grpc
import grpc.aio
import uvicorn
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from otelbridge.domain.ports import Signal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from starlette.requests import Request as HttpRequest

ExportRequest: TypeAlias = (
    traces.ExportTraceServiceRequest
    | logs.ExportLogsServiceRequest
    | metrics.ExportMetricsServiceRequest
)
_REQUESTS: dict[Signal, type[ExportRequest]] = {
    Signal.TRACES: traces.ExportTraceServiceRequest,
    Signal.LOGS: logs.ExportLogsServiceRequest,
    Signal.METRICS: metrics.ExportMetricsServiceRequest,
}
_SERVICES = {
    Signal.TRACES: "trace.v1.Trace",
    Signal.LOGS: "logs.v1.Logs",
    Signal.METRICS: "metrics.v1.Metrics",
}
_PROTOBUF = "application/x-protobuf"
_HTTP_ERRORS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the collector says to one request. Both transports read what concerns them.

    Attributes:
        code: The gRPC status.
        http_status: The HTTP status.
        message: The status' text, or the partial success'.
        rejected: Partial success: how many items were not taken.
        retry_after_s: gRPC: a RetryInfo of that long.
        headers: HTTP: more headers, such as Retry-After.
        body: HTTP: what is answered in place of a message, of `content_type`.
        content_type: HTTP: the media type of the answer.
        is_taken: Whether the data was taken; by default if the status is OK.
        after: The answer is held back until this is set.
        never: There is no answer at all.
    """

    code: grpc.StatusCode = grpc.StatusCode.OK
    http_status: int = 200
    message: str = ""
    rejected: int = 0
    retry_after_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = _PROTOBUF
    is_taken: bool | None = None
    after: asyncio.Event | None = None
    never: bool = False


OK = Answer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came.

    Attributes:
        signal: What it tells.
        transport: "grpc" or "http".
        path: The HTTP path.
        headers: Headers or metadata, names in lower case.
        body: The message, not compressed any more.
        message: The message, decoded.
    """

    signal: Signal
    transport: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    message: ExportRequest

    @property
    def spans(self) -> list[Span]:
        """Return its spans, in their order."""
        if not isinstance(self.message, traces.ExportTraceServiceRequest):
            return []
        return [
            span
            for resource in self.message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The collector's certificate, as PEM files; with `client_ca` clients must show theirs."""

    cert: str
    key: str
    client_ca: str | None = None


class Collector:
    """A scripted OTLP collector.

    Args:
        tls: Its certificate; None for plain text.
        grpc_port: 0 draws a free one.
        judge: Decides about requests when the script is used up; None is OK.

    Attributes:
        requests: Every request that came, whatever was answered.
        taken: Those of them whose data was taken.
        judge: See above; may be replaced.
        paths: HTTP paths besides OTLP's own.
    """

    def __init__(
        self,
        *,
        tls: ServerTls | None = None,
        grpc_port: int = 0,
        judge: Callable[[Request], Answer | None] = lambda _: None,
    ) -> None:
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self.paths: dict[str, Signal] = {f"/v1/{signal}": signal for signal in Signal}
        self._tls = tls
        self.judge = judge
        self._script: deque[Answer] = deque()
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()
        self._grpc_port = grpc_port
        self._grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._http = _http_server(self._serve_http, tls)

    async def __aenter__(self) -> Self:
        for signal, name in _SERVICES.items():
            self._grpc.add_generic_rpc_handlers((self._handler(signal, name),))
        address = f"127.0.0.1:{self._grpc_port}"
        if self._tls is None:
            self._grpc_port = self._grpc.add_insecure_port(address)
        else:
            self._grpc_port = self._grpc.add_secure_port(address, _credentials(self._tls))
        await self._grpc.start()
        await self._http.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._grpc.stop(grace=0)
        for server in self._http.servers:
            server.close()
        for connection in list(self._http.server_state.connections):
            connection.transport.abort()
        tasks = list(self._http.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def grpc_endpoint(self) -> str:
        """Return the URL of the gRPC server."""
        return f"{self._scheme}://127.0.0.1:{self.grpc_port}"

    @property
    def grpc_port(self) -> int:
        """Return the port of the gRPC server."""
        return self._grpc_port

    @property
    def http_endpoint(self) -> str:
        """Return the base URL of the HTTP server."""
        port = self._http.servers[0].sockets[0].getsockname()[1]
        return f"{self._scheme}://127.0.0.1:{port}"

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    @property
    def spans(self) -> list[Span]:
        """Return all spans that were taken, in the order of their arrival."""
        return [span for request in self.taken for span in request.spans]

    @property
    def logs(self) -> list[LogRecord]:
        """Return all log records that were taken."""
        return [
            record
            for request in self.taken
            if isinstance(request.message, logs.ExportLogsServiceRequest)
            for resource in request.message.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    @property
    def metrics(self) -> list[Metric]:
        """Return all metrics that were taken; one comes again with every export."""
        return [
            metric
            for request in self.taken
            if isinstance(request.message, metrics.ExportMetricsServiceRequest)
            for resource in request.message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def script(self, *answers: Answer) -> None:
        """Say what the next requests are answered; all others are taken."""
        self._script.extend(answers)

    async def wait_for(
        self, condition: Callable[[Collector], bool], timeout_s: float = 10.0
    ) -> None:
        """Wait until the condition holds; it is looked at after every request."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: condition(self))
        except TimeoutError:
            counts = {signal.value: len(self.of(signal)) for signal in Signal}
            raise AssertionError(f"not within {timeout_s} s; requests so far: {counts}") from None

    def of(self, signal: Signal) -> list[Request]:
        """Return the requests of one signal, whatever was answered."""
        return [request for request in self.requests if request.signal is signal]

    def _handler(self, signal: Signal, name: str) -> grpc.GenericRpcHandler:
        async def export(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
            headers = {key: str(value) for key, value in context.invocation_metadata()}
            message = _REQUESTS[signal].FromString(body)
            answer = await self._take(
                Request(
                    signal=signal,
                    transport="grpc",
                    path="",
                    headers=headers,
                    body=body,
                    message=message,
                )
            )
            if answer.code is not grpc.StatusCode.OK:
                await context.abort(answer.code, answer.message, _details(answer))
            return _response(signal, answer)

        methods = {"Export": grpc.unary_unary_rpc_method_handler(export)}
        service = f"opentelemetry.proto.collector.{name}Service"
        return grpc.method_handlers_generic_handler(service, methods)

    async def _serve_http(self, request: HttpRequest) -> Response:
        signal = self.paths.get(request.url.path)
        if signal is None or request.headers.get("content-type") != _PROTOBUF:
            return Response(status_code=404 if signal is None else 415)
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        answer = await self._take(
            Request(
                signal=signal,
                transport="http",
                path=request.url.path,
                headers=dict(request.headers),
                body=body,
                message=_REQUESTS[signal].FromString(body),
            )
        )
        return Response(
            _response(signal, answer) if answer.body is None else answer.body,
            status_code=answer.http_status,
            headers=dict(answer.headers),
            media_type=answer.content_type,
        )

    async def _take(self, request: Request) -> Answer:
        answer = self._script.popleft() if self._script else self.judge(request) or OK
        await self._note(self.requests, request)
        if answer.never:
            await self._closing.wait()
            return Answer(code=grpc.StatusCode.UNAVAILABLE, http_status=503)
        if answer.after is not None:
            await answer.after.wait()
        is_ok = answer.code is grpc.StatusCode.OK and answer.http_status < _HTTP_ERRORS
        if is_ok if answer.is_taken is None else answer.is_taken:
            await self._note(self.taken, request)
        return answer

    async def _note(self, where: list[Request], request: Request) -> None:
        async with self._changed:
            where.append(request)
            self._changed.notify_all()


def _http_server(
    serve: Callable[[HttpRequest], Awaitable[Response]], tls: ServerTls | None
) -> uvicorn.Server:
    config = uvicorn.Config(
        Starlette(routes=[Route("/{path:path}", serve, methods=["POST"])]),
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_config=None,
        log_level="critical",
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=tls.client_ca if tls else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


def _credentials(tls: ServerTls) -> grpc.ServerCredentials:
    pair = (Path(tls.key).read_bytes(), Path(tls.cert).read_bytes())
    client_ca = Path(tls.client_ca).read_bytes() if tls.client_ca else None
    return grpc.ssl_server_credentials(
        [pair], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def _details(answer: Answer) -> tuple[tuple[str, bytes], ...]:
    if answer.retry_after_s is None:
        return ()
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(int(answer.retry_after_s * 1e9))
    detail = AnyMessage()
    detail.Pack(info)
    status = Status(code=answer.code.value[0], message=answer.message, details=[detail])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _response(signal: Signal, answer: Answer) -> bytes:
    if answer.http_status >= _HTTP_ERRORS:
        return bytes(Status(message=answer.message).SerializeToString())
    if signal is Signal.TRACES:
        spans = traces.ExportTraceServiceResponse()
        spans.partial_success.rejected_spans = answer.rejected
        spans.partial_success.error_message = answer.message
        return spans.SerializeToString()
    if signal is Signal.LOGS:
        records = logs.ExportLogsServiceResponse()
        records.partial_success.rejected_log_records = answer.rejected
        records.partial_success.error_message = answer.message
        return records.SerializeToString()
    points = metrics.ExportMetricsServiceResponse()
    points.partial_success.rejected_data_points = answer.rejected
    points.partial_success.error_message = answer.message
    return points.SerializeToString()
