"""What the transports are tested with: a meter that remembers, a table of fake servicers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc.aio
from google.protobuf.message_factory import GetMessageClass

from otelbridge.domain.ledger import Changes
from otelbridge.servicers.methods import Call, Method, descriptors, parsing, path_of
from otelbridge.transports.access import Door
from otelbridge.transports.grpc_server import GrpcServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from otelbridge.transports.certificates import CertificateFiles

RIGHT_KEY = "k" * 43
START = "/proto.Recorder/RecordInterception"
PROMPT = "/proto.Recorder/RecordPromptUsage"
TOKENS = "/proto.MCPConfigurator/GetMCPServerAccessTokensBatch"
WATCH = "/proto.ProviderConfigurator/WatchAIProviders"


@dataclass
class Books:
    """A meter that remembers."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """Remember a call."""
        self.calls.append((method, code))
        self.seconds.append(seconds)


def table(handlers: Mapping[str, Callable[..., Any]] | None = None) -> dict[str, Method]:
    """Return all RPCs by path; those without a handler answer with an empty message."""
    found = {}
    for method in descriptors():
        path = path_of(method)
        answer = _stream if method.server_streaming else _unary
        found[path] = Method(
            path=path,
            request_class=GetMessageClass(method.input_type),
            server_streaming=bool(method.server_streaming),
            answer=parsing(
                (handlers or {}).get(path, answer(GetMessageClass(method.output_type))), method
            ),
        )
    return found


def _unary(answer: Callable[[], Any]) -> Callable[..., Any]:
    async def handler(_request: Any, _call: Call) -> Any:
        return answer()

    return handler


def _stream(answer: Callable[[], Any]) -> Callable[..., Any]:
    async def handler(_request: Any, _call: Call) -> AsyncIterator[Any]:
        yield answer()

    return handler


def server(
    handlers: Mapping[str, Callable[..., Any]] | None = None,
    *,
    books: Books | None = None,
    is_open: bool = True,
    address: str = "127.0.0.1:0",
    certificates: CertificateFiles | None = None,
) -> GrpcServer:
    """Return a server on a free loopback port that knows one gateway, `eu`."""
    certified = certificates is not None and certificates.verifies_clients
    door = Door(
        {RIGHT_KEY: "eu"}.get,
        clock_ns=time.monotonic_ns,
        count=Changes().count,
        is_open=is_open,
        certified=certified,
    )
    return GrpcServer(
        table(handlers),
        address=address,
        door=door,
        meter=books or Books(),
        certificates=certificates,
    )


async def call(
    address: str, path: str, request: bytes = b"", **metadata: str
) -> tuple[grpc.StatusCode, str]:
    """Call a method; return the status and its text."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        return await call_over(channel, path, request, **metadata)


async def call_over(
    channel: grpc.aio.Channel, path: str, request: bytes = b"", **metadata: str
) -> tuple[grpc.StatusCode, str]:
    """Call a method over a channel; return the status and its text."""
    pairs = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    calling = channel.unary_unary(path)(request, metadata=pairs, timeout=10.0)
    return await calling.code(), await calling.details()
