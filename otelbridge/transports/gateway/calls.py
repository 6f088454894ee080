"""The calls of one yamux stream: a DRPC transport in front of the method table."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from otelbridge.errors import CallError, LimitExceededError, escaped
from otelbridge.protocols import drpc
from otelbridge.servicers.methods import Call
from otelbridge.transports.gateway.budget import Budget
from otelbridge.transports.status import INTERNAL, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

    from otelbridge.servicers.methods import Method
    from otelbridge.transports.meter import Meter

logger = logging.getLogger(__name__)

#: 64 requests of the largest size; a thousand gateways' usual ones take a tenth.
MAX_HELD_BYTES = 256 * 1024 * 1024
_OK = "OK"
_CANCELLED = "CANCELLED"
# The contract's errors have texts, and no codes of DRPC's.
_NO_CODE = 0
# A fault that hits every call must not fill the disk with tracebacks.
_TRACEBACK_EVERY_S = 1.0


class Dispatcher:
    """What the calls of all sessions share.

    Args:
        methods: The method table, by path.
        meter: Books calls.
        max_held_bytes: How much memory requests may take, of all sessions together.
    """

    def __init__(
        self, methods: Mapping[str, Method], *, meter: Meter, max_held_bytes: int = MAX_HELD_BYTES
    ) -> None:
        self.methods = methods
        self.meter = meter
        self.budget = Budget(max_held_bytes)
        self._traced_at: dict[str, float] = {}

    def outcome(self, name: str, error: Exception) -> tuple[str, str]:
        """Return the name of an error's status, and what the client reads."""
        if isinstance(error, CallError):
            return status_of(error).code.name, str(error)
        now = time.monotonic()
        if now - self._traced_at.get(name, -_TRACEBACK_EVERY_S) >= _TRACEBACK_EVERY_S:
            self._traced_at[name] = now
            logger.error("%s failed", name, exc_info=error)
        return INTERNAL.code.name, INTERNAL.text


class StreamCalls:
    """Serves the calls of one stream, one after another.

    Args:
        stream_id: The stream.
        dispatcher: See `Dispatcher`.
        gateway: Whose session it is.
        peer: Returns the gateway's address.
        changed: Called when there is something to send.

    Attributes:
        stream_id: The stream.
        transport: The DRPC transport; write what it has to send.
        pending: Whether a unary call has been received and not answered.
    """

    __slots__ = (
        "_call_id",
        "_changed",
        "_dispatcher",
        "_gateway",
        "_held",
        "_method",
        "_peer",
        "_running",
        "_started",
        "pending",
        "stream_id",
        "transport",
    )

    def __init__(
        self,
        stream_id: int,
        dispatcher: Dispatcher,
        *,
        gateway: str,
        peer: Callable[[], str],
        changed: Callable[[StreamCalls], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._gateway = gateway
        self._peer = peer
        self._changed = changed
        self._call_id = 0
        self._method: Method | None = None
        self._running: asyncio.Future[Any] | None = None
        self._started = 0.0
        self.transport = drpc.ServerTransport()
        self._held = 0
        self.stream_id = stream_id
        self.pending = False

    def receive(self, data: bytes) -> None:
        """Take what was read.

        Raises:
            ProtocolError: If the gateway broke the protocol: the stream must be reset.
            LimitExceededError: If there is no memory for it: the same.
        """
        if not self._dispatcher.budget.take(len(data)):
            raise LimitExceededError("the requests that are held take too much memory")
        self._held += len(data)
        try:
            self.transport.receive_data(data)
        finally:
            self._take_events()

    def receive_eof(self) -> None:
        """Take that nothing more can be read: a stock gateway cancels so."""
        self.transport.receive_eof()
        self._take_events()

    def drop(self) -> None:
        """Forget the call: nobody waits for its answer any more."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        self._release()

    def _release(self) -> None:
        self.pending = False
        self._dispatcher.budget.give_back(self._held)
        self._held = 0

    def _take_events(self) -> None:
        for event in self.transport.events_received():
            if isinstance(event, drpc.MessageReceived):
                self._begin(event.call_id, event.data)
            elif isinstance(event, drpc.Invoked):
                self._invoke(event)
            elif isinstance(event, drpc.CallCancelled):
                self.drop()

    def _invoke(self, event: drpc.Invoked) -> None:
        self._call_id = event.call_id
        self._started = time.perf_counter()
        self._method = self._dispatcher.methods.get(event.rpc)
        if self._method is None:
            # What the Go library answers for an RPC that is not registered.
            self._fail(event.call_id, f'protocol error: unknown rpc: "{escaped(event.rpc)}"')

    def _begin(self, call_id: int, raw: bytes) -> None:
        """Answer a request; a call has one, and more are ignored."""
        method = self._method
        if method is None or self._running is not None:
            return
        call = Call(raw, self._gateway, True, self._peer)  # each call pays for names
        try:
            answering: Any = (
                self._stream(method, call, call_id)
                if method.server_streaming
                else method.answer(call)
            )
            self._running = asyncio.ensure_future(answering)
        except Exception as error:  # noqa: BLE001  # the call's edge: mapped and counted
            self._refuse(call_id, method, error)
            return
        self.pending = not method.server_streaming
        self._running.add_done_callback(lambda done: self._done(call_id, method, done))

    async def _stream(self, method: Method, call: Call, call_id: int) -> None:
        messages: Any = method.answer(call)  # an AsyncIterator
        async for message in messages:
            self.transport.send_message(call_id, message.SerializeToString())
            self._changed(self)

    def _done(self, call_id: int, method: Method, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done is not self._running:  # nobody waits for it any more
            if not done.cancelled():
                done.exception()  # asyncio complains of an error that nobody asks for
            self._observe(method, _CANCELLED)
            return
        self._running = None
        self._release()
        error = done.exception()
        if error is None:
            self._answer(call_id, method, done.result())
        elif isinstance(error, Exception):
            self._refuse(call_id, method, error)

    def _answer(self, call_id: int, method: Method, message: Message | None) -> None:
        if not method.server_streaming:
            body = b"" if message is None else message.SerializeToString()
            try:
                self.transport.send_message(call_id, body)
            except LimitExceededError as error:
                self._refuse(call_id, method, error)
                return
        self.transport.send_close(call_id)
        self._observe(method, _OK)
        self._changed(self)

    def _refuse(self, call_id: int, method: Method, error: Exception) -> None:
        code, text = self._dispatcher.outcome(method.name, error)
        self._observe(method, code)
        self._fail(call_id, text)

    def _fail(self, call_id: int, text: str) -> None:
        self.transport.send_error(call_id, _NO_CODE, text)
        self._changed(self)

    def _observe(self, method: Method, code: str) -> None:
        self._dispatcher.meter.observe_call(method.name, code, time.perf_counter() - self._started)
