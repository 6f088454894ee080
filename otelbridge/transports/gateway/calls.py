"""The calls of one yamux stream: a DRPC transport in front of the method table."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from otelbridge.errors import InvalidRequestError, LimitExceededError, UnavailableError, escaped
from otelbridge.protocols import drpc
from otelbridge.servicers.methods import Call
from otelbridge.transports.faults import Faults
from otelbridge.transports.gateway.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

    from otelbridge.servicers.methods import Method
    from otelbridge.transports.gateway.budget import Share
    from otelbridge.transports.meter import Meter

#: One gateway can have 64 requests of the largest size on their way, or 130,000 small ones.
MAX_HELD_BYTES = 512 * 1024 * 1024
#: What an open stream takes, whatever it carries: measured, and rounded up.
STREAM_BYTES = 2048
_OK = "OK"
_CANCELLED = "CANCELLED"
_GIVEN_UP = "the bridge has given the call up"
# The contract's errors have texts, and no codes of DRPC's.
_NO_CODE = 0


class Dispatcher:
    """What the calls of all sessions share.

    Args:
        methods: The method table, by path.
        meter: Books calls.
        max_held_bytes: How much memory streams and requests may take, of all sessions together.
    """

    def __init__(
        self, methods: Mapping[str, Method], *, meter: Meter, max_held_bytes: int = MAX_HELD_BYTES
    ) -> None:
        self.methods = methods
        self.observe = meter.observe_call
        self.budget = Budget(max_held_bytes)
        self.faults = Faults()


@dataclass(slots=True, frozen=True)
class Host:
    """What the calls of one session share.

    Attributes:
        dispatcher: See `Dispatcher`.
        gateway: Whose session it is.
        share: The gateway's part of the memory.
        peer: Returns the gateway's address.
        changed: Called when a stream has something to send.
    """

    dispatcher: Dispatcher
    gateway: str
    share: Share
    peer: Callable[[], str]
    changed: Callable[[StreamCalls], None]


class StreamCalls:
    """Serves the calls of one stream, one after another.

    Args:
        stream_id: The stream.
        host: What it shares with the session's other streams.

    Attributes:
        stream_id: The stream.
        transport: The DRPC transport; write what it has to send.
        is_owed: Whether an answer is due: a call has begun, and opening a
            stream begins one. What streams is not owed.
    """

    __slots__ = (
        "_call_id",
        "_held",
        "_host",
        "_method",
        "_running",
        "_started",
        "is_owed",
        "stream_id",
        "transport",
    )

    def __init__(self, stream_id: int, host: Host) -> None:
        self._host = host
        self._held = 0
        self._call_id = 0
        self._method: Method | None = None
        self._running: asyncio.Future[Any] | None = None
        self._started = 0.0
        self.transport = drpc.ServerTransport()
        self.stream_id = stream_id
        self.is_owed = True

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn: a request is awaited, begun or not."""
        return self._running is None

    @property
    def is_running(self) -> bool:
        """Whether a unary request was received in whole and has no answer yet."""
        return self._running is not None and self.is_owed

    def receive(self, data: bytes) -> None:
        """Take what was read.

        Raises:
            ProtocolError: If the gateway broke the protocol: the stream must be reset.
            LimitExceededError: If there is no memory for it: the same.
        """
        if not self._host.share.take(len(data)):
            raise LimitExceededError("the gateway's requests take too much memory")
        self._held += len(data)
        try:
            self.transport.receive_data(data)
        finally:
            self._take_events()

    def receive_eof(self) -> None:
        """Take that nothing more can be read: a stock gateway cancels so."""
        self.transport.receive_eof()
        self._take_events()

    def end(self, reason: str) -> None:
        """End what streams with an error: the session is about to be closed."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            self._fail(self._call_id, reason)

    def drop(self) -> None:
        """Forget the call: nobody waits for its answer any more.

        What its servicer has done, or handed to the journal, is not undone.
        """
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        self._release()

    def _release(self) -> None:
        self.is_owed = False
        self._host.share.give_back(self._held)
        self._held = 0

    def _take_events(self) -> None:
        for event in self.transport.events_received():
            if isinstance(event, drpc.MessageReceived):
                self._begin(event.call_id, event.data)
            elif isinstance(event, drpc.Invoked):
                self._invoke(event)
            elif isinstance(event, drpc.CallCancelled):
                self.drop()
            elif isinstance(event, drpc.InputEnded):
                self._check_begun(event.call_id)

    def _invoke(self, event: drpc.Invoked) -> None:
        self.is_owed = True
        self._call_id = event.call_id
        self._started = time.perf_counter()
        self._method = self._host.dispatcher.methods.get(event.rpc)
        if self._method is None:
            # What the Go library answers for an RPC that is not registered.
            self._fail(event.call_id, f'protocol error: unknown rpc: "{escaped(event.rpc)}"')

    def _begin(self, call_id: int, raw: bytes) -> None:
        """Answer a request; a call has one, and more are ignored."""
        method = self._method
        if method is None or self._running is not None:
            return
        started = self._started
        call = Call(raw, self._host.gateway, True, self._host.peer)  # each call pays for names
        try:
            answering: Any = (
                self._stream(method, call, call_id)
                if method.server_streaming
                else method.answer(call)
            )
            running = self._running = asyncio.ensure_future(answering)
        except Exception as error:  # noqa: BLE001  # the call's edge: mapped and counted
            self._refuse(call_id, method, error, started)
            return
        self.is_owed = not method.server_streaming
        running.add_done_callback(partial(self._done, call_id, method, started))

    def _check_begun(self, call_id: int) -> None:
        """Answer a call that ends without a request."""
        if self._running is None and self._method is not None:
            error = InvalidRequestError(f"{self._method.name}: the call has no request")
            self._refuse(call_id, self._method, error, self._started)

    async def _stream(self, method: Method, call: Call, call_id: int) -> None:
        messages: Any = method.answer(call)  # an AsyncIterator
        async for message in messages:
            self.transport.send_message(call_id, message.SerializeToString())
            self._host.changed(self)

    def _done(
        self, call_id: int, method: Method, started: float, done: asyncio.Future[Any]
    ) -> None:
        error = UnavailableError(_GIVEN_UP) if done.cancelled() else done.exception()
        if done is not self._running:  # nobody waits for it any more
            self._observe(method, _CANCELLED, started)
            return
        self._running = None
        if error is None:
            self._answer(call_id, method, done.result(), started)
        elif isinstance(error, Exception):
            self._refuse(call_id, method, error, started)

    def _answer(
        self, call_id: int, method: Method, message: Message | None, started: float
    ) -> None:
        if not method.server_streaming:
            body = b"" if message is None else message.SerializeToString()
            try:
                self.transport.send_message(call_id, body)
            except LimitExceededError as error:
                self._refuse(call_id, method, error, started)
                return
        self.transport.send_close(call_id)
        self._observe(method, _OK, started)
        self._release()
        self._host.changed(self)

    def _refuse(self, call_id: int, method: Method, error: Exception, started: float) -> None:
        status = self._host.dispatcher.faults.status(method.name, error)
        self._observe(method, status.code.name, started)
        self._fail(call_id, status.text)

    def _fail(self, call_id: int, text: str) -> None:
        self.transport.send_error(call_id, _NO_CODE, text)
        self._release()
        self._host.changed(self)

    def _observe(self, method: Method, code: str, started: float) -> None:
        self._host.dispatcher.observe(method.name, code, time.perf_counter() - started)
