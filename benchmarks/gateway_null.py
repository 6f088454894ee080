"""The gateways' endpoint with servicers that do nothing: what a call costs below them.

All layers are the bridge's own: HTTP, WebSocket, yamux, DRPC, the method table. A servicer
answers at once, with a message that holds nothing, and parses no request.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import uvloop
from google.protobuf.message_factory import GetMessageClass

from benchmarks.gateway_load import KEYS
from benchmarks.helper import answer_until_eof
from otelbridge.domain.ledger import Changes
from otelbridge.server.metering import CallMeter
from otelbridge.servicers.methods import Call, Method, descriptors, path_of
from otelbridge.transports.access import Door
from otelbridge.transports.gateway.calls import Dispatcher
from otelbridge.transports.gateway.endpoint import Endpoint
from otelbridge.transports.gateway.sessions import Gateways
from otelbridge.transports.http_app import build_app
from otelbridge.transports.http_server import HttpServer
from otelbridge.transports.sockets import bind

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor

_ADDRESS = "127.0.0.1:0"


def _method(descriptor: MethodDescriptor, loop: asyncio.AbstractEventLoop) -> Method:
    def answer(_call: Call) -> Any:
        done = loop.create_future()
        done.set_result(None)
        return done

    return Method(
        path=path_of(descriptor),
        request_class=GetMessageClass(descriptor.input_type),
        server_streaming=False,
        answer=answer,
    )


def _gateways() -> Gateways:
    loop = asyncio.get_running_loop()
    methods = {path_of(each): _method(each, loop) for each in descriptors()}
    door = Door(
        {key: f"gateway-{number}" for number, key in enumerate(KEYS)}.get,
        clock_ns=time.monotonic_ns,
        count=Changes().count,
        is_open=False,
    )
    return Gateways(
        Endpoint(door, is_ready=lambda: True),
        Dispatcher(methods, meter=CallMeter("drpc")),
        clock_ns=time.time_ns,
        count=Changes().count,
    )


async def _serve() -> None:
    gateways = _gateways()
    app = build_app(
        render=lambda _accept, _scraper: (b"", "text/plain"),
        readiness=lambda: (True, {}),
        address=_ADDRESS,
        gateways=gateways,
    )
    server = HttpServer(app, bind(_ADDRESS, key="listen.http"), gateways=gateways)
    await server.start()
    await answer_until_eof(server.port, lambda: str(len(gateways.connected())))
    await gateways.stop(0.0)
    await server.stop()


if __name__ == "__main__":
    uvloop.run(_serve())
