"""The method table as gRPC handlers: raw bytes in, raw bytes out.

The library is given no deserialiser: one that fails inside it answers
INTERNAL, ours INVALID_ARGUMENT with a text. Who calls is read from the
metadata that the library has already built to find the handler, and there is
one handler for each method and caller: nothing of this is done twice a call.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from otelbridge.domain.access import RefusedCallError
from otelbridge.servicers.methods import Call
from otelbridge.transports.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from otelbridge.servicers.methods import Method
    from otelbridge.transports.access import Caller, Door
    from otelbridge.transports.meter import Meter
    from otelbridge.transports.streams import Streams

_OK = grpc.StatusCode.OK.name
_CANCELLED = grpc.StatusCode.CANCELLED.name


class MethodHandlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Serves a method table."""

    def __init__(
        self, methods: Mapping[str, Method], *, door: Door, meter: Meter, streams: Streams
    ) -> None:
        self._methods = methods
        self._door = door
        self._meter = meter
        self._streams = streams
        self._handlers: dict[tuple[str, Caller], grpc.RpcMethodHandler] = {}
        self._faults = Faults()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what serves a call, None for an unknown method."""
        path = handler_call_details.method
        caller = self._door.identify(handler_call_details.invocation_metadata)
        handler = self._handlers.get((path, caller))
        if handler is None and (method := self._methods.get(path)) is not None:
            handler = self._handlers[path, caller] = self._handler(method, caller)
        return handler

    def _handler(self, method: Method, caller: Caller) -> grpc.RpcMethodHandler:
        if not self._door.admits(caller, method.name):
            return grpc.unary_unary_rpc_method_handler(self._refusing(method, caller))
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streaming(method, caller))
        return grpc.unary_unary_rpc_method_handler(self._unary(method, caller))

    def _refusing(self, method: Method, caller: Caller) -> Any:
        async def answer(_raw: bytes, context: Any) -> None:
            started, refused = time.perf_counter(), self._door.refusal(caller)
            await self._abort(context, method.name, refused, started)

        return answer

    def _unary(self, method: Method, caller: Caller) -> Any:
        name = method.name
        handle: Any = method.answer  # an Awaitable: the method is unary
        gateway, trusted, _ = caller
        observe, clock = self._meter.observe_call, time.perf_counter

        async def answer(raw: bytes, context: Any) -> bytes:
            started = clock()
            try:
                answered: Message | None = await handle(Call(raw, gateway, trusted, context.peer))
            except asyncio.CancelledError:
                observe(name, _CANCELLED, clock() - started)
                raise
            except Exception as error:  # noqa: BLE001  # the task's edge: mapped and counted
                await self._abort(context, name, error, started)
            observe(name, _OK, clock() - started)
            return b"" if answered is None else answered.SerializeToString()

        return answer

    def _streaming(self, method: Method, caller: Caller) -> Any:
        name, observe, clock = method.name, self._meter.observe_call, time.perf_counter

        async def answer(raw: bytes, context: Any) -> None:
            started = clock()
            call = Call(raw, caller.gateway, caller.trusted, context.peer)
            try:
                await self._streams.run(_stream(method, call, context))
            except (asyncio.CancelledError, grpc.aio.BaseError):
                # The client has gone: there is nobody to answer.
                observe(name, _CANCELLED, clock() - started)
                raise
            except Exception as error:  # noqa: BLE001  # the task's edge: mapped and counted
                await self._abort(context, name, error, started)
            observe(name, _OK, clock() - started)

        return answer

    async def _abort(self, context: Any, name: str, error: Exception, started: float) -> NoReturn:
        """End a call with the status of an error."""
        if isinstance(error, RefusedCallError):
            error = self._door.turn_away(error, context.peer())
        status = self._faults.status(name, error)
        self._meter.observe_call(name, status.code.name, time.perf_counter() - started)
        await context.abort(status.code, status.text, status.trailers)
        raise error  # `abort` always raises


async def _stream(method: Method, call: Call, context: Any) -> None:
    messages: Any = method.answer(call)  # an AsyncIterator
    async for message in messages:
        await context.write(message.SerializeToString())
