"""An OTLP/gRPC collector that is healthy, dead, hanging or slow, as it is told."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import grpc
import grpc.aio
import uvloop

_SERVICE: Final = "opentelemetry.proto.collector.{0}.v1.{1}Service"
_SLOW_S: Final = 2.0


class _Sink:
    """Answers by its kind; a dead one has no server at all.

    Attributes:
        port: Where it listens when it does.
    """

    def __init__(self) -> None:
        self.port = 0
        self._kind = "healthy"
        self._server: grpc.aio.Server | None = None

    async def become(self, kind: str) -> None:
        self._kind = kind
        if kind == "dead" and self._server is not None:
            await self._server.stop(grace=0)
            self._server = None
        elif kind != "dead" and self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        for signal in ("trace", "metrics", "logs"):
            name = _SERVICE.format(signal, signal.capitalize())
            methods = {"Export": grpc.unary_unary_rpc_method_handler(self._take)}
            handler = grpc.method_handlers_generic_handler(name, methods)
            self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def _take(self, _request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        if self._kind == "hanging":
            await asyncio.Event().wait()
        elif self._kind == "slow":
            await asyncio.sleep(_SLOW_S)
        return b""


async def _serve() -> None:
    sink = _Sink()
    await sink.become("healthy")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(sink.port, flush=True)
    while line := (await reader.readline()).decode().strip():
        await sink.become(line)
        print(line, flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
