"""A gateway's session: yamux streams, and the calls on them.

No stream costs a task, and everything that one turn of the event loop answers
leaves in one message.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from otelbridge.errors import LimitExceededError, ProtocolError
from otelbridge.protocols import yamux
from otelbridge.transports.gateway.calls import Host
from otelbridge.transports.gateway.draining import Draining
from otelbridge.transports.gateway.open_streams import OpenStreams

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.transports.gateway.calls import Dispatcher, StreamCalls
    from otelbridge.transports.gateway.endpoint import Visitor

#: How long a stream may be without a whole request, in seconds. A stock gateway
#: sends one at once, and gives a call up after 5 to 10 s.
MAX_WAIT_S = 60.0
# A write costs as much as all else that is done for a call: what can wait goes along with the next
# answer. A stock gateway notices nothing of it.
_LAZY_S = 0.002


class Wire(Protocol):
    """What carries a session's bytes."""

    @property
    def peer(self) -> str:
        """The gateway's address as gRPC writes it."""

    @property
    def is_writable(self) -> bool:
        """Whether the gateway reads what is written."""

    @property
    def unsent_bytes(self) -> int:
        """What was written and waits for the gateway to read; 0 while it is writable."""

    def write(self, messages: list[bytes]) -> None:
        """Send binary messages of at most `yamux.MAX_MESSAGE_BYTES`."""

    def stop_reading(self) -> None:
        """Hear no more of the gateway."""


class GatewaySession:
    """Serves one gateway, whatever carries its bytes.

    Args:
        visitor: Which gateway it is.
        dispatcher: Answers calls.
        wire: Carries the bytes; tell the session what becomes of them.
        broken: Called with the kind of each mistake of the gateway.
        ended: Called once when the session is over, with the reason.
        limits: What the gateway may do.

    Attributes:
        visitor: Which gateway it is.
        calls: How many streams it has opened: a stock gateway opens one a call.
        is_broken: Whether it ended because the gateway broke a rule.
    """

    def __init__(
        self,
        visitor: Visitor,
        dispatcher: Dispatcher,
        wire: Wire,
        *,
        broken: Callable[[str], None],
        ended: Callable[[GatewaySession, str], None],
        limits: yamux.Limits,
    ) -> None:
        self.visitor = visitor
        self.calls = 0
        self.is_broken = False
        self._share = dispatcher.budget.share(visitor.name)
        self._streams = OpenStreams(
            Host(dispatcher, visitor.name, self._share, lambda: wire.peer, self._note)
        )
        self._wire = wire
        self._broken = broken
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._mux = yamux.Session(yamux.Role.SERVER, limits=limits, now=self._heard_at)
        self._changed: dict[StreamCalls, None] = {}
        self._unsent = 0
        self._scheduled = False
        self._over = False
        self._draining: Draining | None = None
        self._is_finishing = False
        self._last_words = ""
        self._look: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._timer = self._loop.call_at(self._next_deadline(), self._wake)

    @property
    def streams(self) -> int:
        """Return the number of open streams."""
        return len(self._streams)

    def receive(self, data: bytes) -> None:
        """Take what was read."""
        if self._over:
            return
        self._heard_at = self._loop.time()
        try:
            self._mux.receive_data(data, now=self._heard_at)
        except ProtocolError as error:
            self.fail(error.kind)
        self._take_events()
        self._schedule_lazily()

    def resume(self) -> None:
        """Take that the wire is writable again."""
        self._schedule()

    def fail(self, kind: str) -> None:
        """Count a mistake of the gateway that ends the session, which its caller does."""
        self.is_broken = True
        self._broken(kind)

    def expire(self) -> None:
        """Reset the streams that wait for the gateway for too long."""
        for stream_id in self._streams.take_expired(self._loop.time() - MAX_WAIT_S):
            if self._streams.get(stream_id) or self._mux.pending_bytes(stream_id):
                self._reset(stream_id, "idle")
        self._schedule()

    def drain(self, reason: str, *, grace_s: float) -> None:
        """Close as soon as no call is in flight; see `Draining`.

        Args:
            reason: Why.
            grace_s: After that many seconds `finish` is called.
        """
        self._last_words = reason
        self._draining = Draining(self._loop.time(), grace_s=grace_s)
        self._schedule()

    def finish(self, reason: str) -> None:
        """Read nothing more, and close when every request that was read is answered."""
        self._last_words = reason
        self._draining = None
        self._is_finishing = True
        self._wire.stop_reading()
        self._schedule()

    def close(self, reason: str) -> None:
        """Say goodbye and end; what is not answered yet never will be."""
        if not self._over:
            self._mux.go_away(yamux.NORMAL)
            self._end(reason)

    def lost(self, reason: str) -> None:
        """Take that the connection is gone."""
        if not self._over:
            self._mux.receive_eof()
            self._end(reason)

    def _take_events(self) -> None:
        for event in self._mux.events_received():
            if isinstance(event, yamux.DataReceived):
                self._receive(event.stream_id, event.data)
            elif isinstance(event, yamux.StreamOpened):
                self._open(event.stream_id)
            elif isinstance(event, yamux.StreamEnded):
                self._end_stream(event.stream_id)
            elif isinstance(event, yamux.StreamReset):
                self._forget(event.stream_id)
            elif isinstance(event, yamux.SessionEnded) and not self._over:
                self._end(event.reason)

    def _open(self, stream_id: int) -> None:
        self.calls += 1
        if not self._streams.open(stream_id, now=self._heard_at):
            self._reset(stream_id, "memory")

    def _receive(self, stream_id: int, data: bytes) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:  # reset a moment ago
            return
        self._mux.acknowledge(stream_id, len(data))
        try:
            stream.receive(data)
        except ProtocolError as error:
            self._reset(stream_id, error.kind)
        except LimitExceededError:
            self._reset(stream_id, "memory")
        else:
            if not stream.is_waiting:
                self._streams.works(stream_id)

    def _end_stream(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.receive_eof()
        self._send(stream)
        self._forget(stream_id)
        self._mux.end_stream(stream_id)
        if self._mux.pending_bytes(stream_id):
            self._streams.waits(stream_id, now=self._heard_at)

    def _reset(self, stream_id: int, kind: str) -> None:
        self._broken(kind)
        self._forget(stream_id)
        self._mux.reset_stream(stream_id)

    def _forget(self, stream_id: int) -> None:
        stream = self._streams.forget(stream_id)
        if stream is not None:
            self._changed.pop(stream, None)

    def _note(self, stream: StreamCalls) -> None:
        """Remember that a stream has something to send."""
        self._changed[stream] = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._over:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _schedule_lazily(self) -> None:
        """Send soon what nobody waits for: that a stream was accepted, or has ended."""
        if not self._scheduled and self._later is None and not self._over:
            self._later = self._loop.call_later(_LAZY_S, self._flush)

    def _flush(self) -> None:
        """Send what this turn of the loop brought about, as one."""
        self._scheduled = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._over:
            return
        changed, self._changed = self._changed, {}
        for stream in changed:
            self._send(stream)
        if self._draining is not None:
            self._consider(self._draining)
        elif self._is_finishing and not any(each.is_running for each in self._streams):
            self._say_goodbye()
        else:
            self._write()

    def _send(self, stream: StreamCalls) -> None:
        if data := stream.transport.data_to_send():
            try:
                self._mux.send_data(stream.stream_id, data)
            except LimitExceededError:  # the gateway does not read
                self._reset(stream.stream_id, "unread")
                return
        if stream.is_waiting:
            self._streams.waits(stream.stream_id, now=self._loop.time())

    def _write(self) -> None:
        wire, mux = self._wire, self._mux
        if wire.is_writable and (messages := mux.data_to_send()):
            wire.write(messages)
        unsent = mux.queued_bytes + wire.unsent_bytes
        if unsent != self._unsent:
            self._share.give_back(self._unsent)
            self._unsent = unsent if self._share.take(unsent) else 0
            if unsent != self._unsent:
                self.fail("unread")
                self.close("its answers take too much memory, and it reads none")

    def _consider(self, draining: Draining) -> None:
        """Close if no call is in flight, else look again later."""
        now = self._loop.time()
        if not draining.is_holding(now):
            self._write()
        if draining.is_over(now, heard_at=self._heard_at) and not self._owes():
            self._say_goodbye()
        if self._look is not None:
            self._look.cancel()
        if not self._over:
            at = draining.next_look(now, heard_at=self._heard_at)
            self._look = self._loop.call_at(at, self._schedule)

    def _owes(self) -> bool:
        """Whether a call is not answered, or its answer waits for the gateway's window."""
        return any(
            each.is_owed or self._mux.pending_bytes(each.stream_id) for each in self._streams
        )

    def _say_goodbye(self) -> None:
        for stream in self._streams:
            stream.end(self._last_words)
            self._send(stream)
        self.close(self._last_words)

    def _wake(self) -> None:
        """Ping, or give up a silent peer, when it is time."""
        try:
            self._mux.advance(self._loop.time())
        except ProtocolError as error:
            self.fail(error.kind)
        self._take_events()
        if not self._over:
            self._schedule()
            self._timer = self._loop.call_at(self._next_deadline(), self._wake)

    def _next_deadline(self) -> float:
        deadline = self._mux.next_deadline()
        return self._loop.time() if deadline is None else deadline

    def _end(self, reason: str) -> None:
        self._over = True
        for timer in (self._timer, self._look, self._later):
            if timer is not None:
                timer.cancel()
        for stream in self._streams:
            self._forget(stream.stream_id)
        self._share.give_back(self._unsent)
        self._unsent = 0
        if messages := self._mux.data_to_send():
            self._wire.write(messages)
        self._ended(self, reason)
