"""A gateway's session: yamux streams, and the calls on them.

No stream costs a task, and everything that one turn of the event loop answers
leaves in one message.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.errors import LimitExceededError, ProtocolError
from otelbridge.protocols import yamux
from otelbridge.transports.gateway.calls import StreamCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.transports.gateway.calls import Dispatcher
    from otelbridge.transports.gateway.endpoint import Visitor


class GatewaySession:
    """Serves one gateway, whatever carries its bytes.

    Args:
        visitor: Which gateway it is.
        dispatcher: Answers calls.
        peer: Returns the gateway's address as gRPC would write it.
        write: Sends messages of at most `yamux.MAX_MESSAGE_BYTES`.
        broken: Called with the kind of each protocol error.
        ended: Called once when the session is over, with the reason.
        limits: What the gateway may do.

    Attributes:
        visitor: Which gateway it is.
        calls: How many streams it has opened: a stock gateway opens one a call.
        is_broken: Whether it ended because the gateway broke the protocol.
    """

    def __init__(
        self,
        visitor: Visitor,
        dispatcher: Dispatcher,
        *,
        peer: Callable[[], str],
        write: Callable[[list[bytes]], None],
        broken: Callable[[str], None],
        ended: Callable[[GatewaySession, str], None],
        limits: yamux.Limits,
    ) -> None:
        self.visitor = visitor
        self.calls = 0
        self._dispatcher = dispatcher
        self._peer = peer
        self._write = write
        self._broken = broken
        self._ended = ended
        self.is_broken = False
        self._loop = asyncio.get_running_loop()
        self._mux = yamux.Session(yamux.Role.SERVER, limits=limits, now=self._loop.time())
        self._streams: dict[int, StreamCalls] = {}
        self._changed: dict[StreamCalls, None] = {}
        self._scheduled = False
        self._over = False
        self._last_words = ""
        self._timer = self._loop.call_at(self._next_deadline(), self._wake)

    @property
    def streams(self) -> int:
        """Return the number of open streams."""
        return len(self._streams)

    def receive(self, data: bytes) -> None:
        """Take what was read."""
        if self._over:
            return
        try:
            self._mux.receive_data(data, now=self._loop.time())
        except ProtocolError as error:
            self._break(error)
        self._take_events()
        self._schedule()

    def drain(self, reason: str) -> None:
        """Close as soon as no call waits for its answer; what streams does not count."""
        self._last_words = reason
        self._schedule()

    def close(self, reason: str) -> None:
        """Say goodbye and end; what is not answered yet never will be."""
        if not self._over:
            self._mux.go_away(yamux.NORMAL)
            self._finish(reason)

    def lost(self) -> None:
        """Take that the connection is gone."""
        if not self._over:
            self._mux.receive_eof()
            self._finish("the connection was closed", heard=False)

    def _take_events(self) -> None:
        for event in self._mux.events_received():
            if isinstance(event, yamux.DataReceived):
                self._receive(event.stream_id, event.data)
            elif isinstance(event, yamux.StreamOpened):
                self.calls += 1
                self._streams[event.stream_id] = StreamCalls(
                    event.stream_id,
                    self._dispatcher,
                    gateway=self.visitor.name,
                    peer=self._peer,
                    changed=self._note,
                )
            elif isinstance(event, yamux.StreamEnded):
                self._end_stream(event.stream_id)
            elif isinstance(event, yamux.StreamReset):
                self._forget(event.stream_id)
            elif isinstance(event, yamux.SessionEnded) and not self._over:
                self._finish(event.reason)

    def _receive(self, stream_id: int, data: bytes) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:  # reset a moment ago
            return
        self._mux.acknowledge(stream_id, len(data))
        try:
            stream.receive(data)
        except ProtocolError as error:
            self._broken(error.kind)
            self._reset(stream_id)
        except LimitExceededError:
            self._broken("memory")
            self._reset(stream_id)

    def _end_stream(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.receive_eof()
            self._send(stream)
            self._forget(stream_id)
            self._mux.end_stream(stream_id)

    def _reset(self, stream_id: int) -> None:
        self._forget(stream_id)
        self._mux.reset_stream(stream_id)

    def _forget(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._changed.pop(stream, None)
            stream.drop()

    def _note(self, stream: StreamCalls) -> None:
        """Remember that a stream has something to send."""
        self._changed[stream] = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what this turn of the loop brought about, as one."""
        self._scheduled = False
        if self._over:
            return
        changed, self._changed = self._changed, {}
        for stream in changed:
            self._send(stream)
        if messages := self._mux.data_to_send():
            self._write(messages)
        if self._last_words and not any(each.pending for each in self._streams.values()):
            self.close(self._last_words)

    def _send(self, stream: StreamCalls) -> None:
        if data := stream.transport.data_to_send():
            try:
                self._mux.send_data(stream.stream_id, data)
            except LimitExceededError:  # the gateway does not read
                self._broken("unread")
                self._reset(stream.stream_id)

    def _wake(self) -> None:
        """Ping, or give up a silent peer, when it is time."""
        try:
            self._mux.advance(self._loop.time())
        except ProtocolError as error:
            self._break(error)
        self._take_events()
        if not self._over:
            self._schedule()
            self._timer = self._loop.call_at(self._next_deadline(), self._wake)

    def _next_deadline(self) -> float:
        deadline = self._mux.next_deadline()
        return self._loop.time() if deadline is None else deadline

    def _break(self, error: ProtocolError) -> None:
        self.is_broken = True
        self._broken(error.kind)

    def _finish(self, reason: str, *, heard: bool = True) -> None:
        self._over = True
        self._timer.cancel()
        for stream_id in list(self._streams):
            self._forget(stream_id)
        if heard and (messages := self._mux.data_to_send()):
            self._write(messages)
        self._ended(self, reason)
