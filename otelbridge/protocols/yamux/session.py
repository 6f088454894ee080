"""One end of a yamux connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux.events import SessionEnded
from otelbridge.protocols.yamux.frames import (
    GO_AWAY,
    NORMAL,
    PING,
    PROTOCOL_ERROR,
    SYN,
    read_frames,
)
from otelbridge.protocols.yamux.keep_alive import KeepAlive
from otelbridge.protocols.yamux.limits import Limits
from otelbridge.protocols.yamux.output import Output
from otelbridge.protocols.yamux.receiver import Receiver
from otelbridge.protocols.yamux.streams import Streams

if TYPE_CHECKING:
    from otelbridge.protocols.yamux.events import Event
    from otelbridge.protocols.yamux.role import Role

_DEFAULT_LIMITS = Limits()
_UNREAD = frozenset({"flood", "timeout"})  # the peer does not read


class Session:
    """One end of a connection that carries many streams.

    Whoever drives it hands over what has arrived (`receive_data`), handles the
    events (`events_received`), calls what it wants to do, and writes what is
    to be sent (`data_to_send`) when the connection can take it: what is not
    taken counts against the limits. It wakes up at `next_deadline` to call
    `advance`.

    Methods that name a stream do nothing if it is gone: the peer may have reset
    it, or the session ended, and the event is only on its way. A stream is
    forgotten when both ends have ended it or one has reset it; its id does not
    return.

    The peer opens streams if it is the client; a server's streams are refused.
    In the role of the server FIN is never sent before the client's, because a
    Go client then fails calls that were answered.

    Args:
        role: Which end this is.
        limits: What the peer is granted.
        now: The present time, in seconds since any fixed instant. It must not
            run backwards from call to call.
    """

    def __init__(self, role: Role, *, limits: Limits = _DEFAULT_LIMITS, now: float) -> None:
        self._limits = limits
        self._reason: str | None = None
        self._error: ProtocolError | None = None
        self._keep_alive = KeepAlive(limits, now=now)
        self._output = Output(max_replies=limits.max_queued_replies)
        self._streams = Streams(role, limits=limits, output=self._output)
        self._receiver = Receiver(
            role,
            limits=limits,
            streams=self._streams,
            output=self._output,
            keep_alive=self._keep_alive,
        )
        reader = read_frames(self._receiver)
        next(reader)
        self._feed = reader.send

    @property
    def is_closed(self) -> bool:
        """Whether the session is over: write what is left to send, and close the connection."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Why the session is over; empty while it is not."""
        return self._reason or ""

    @property
    def error(self) -> ProtocolError | None:
        """What the peer did wrong, if that ended the session."""
        return self._error

    @property
    def stream_count(self) -> int:
        """How many streams are open in at least one direction."""
        return len(self._streams.by_id)

    @property
    def can_open(self) -> bool:
        """Whether we may open streams: as the client, until either end goes away."""
        return self._streams.may_open

    @property
    def refused_streams(self) -> int:
        """How many of the peer's streams were refused over a limit or while going away."""
        return self._receiver.refused

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the peer's windows or were not taken with `data_to_send`.

        While there are many, do not read from the peer: it does not read either.
        """
        return self._output.size + self._streams.waiting

    def pending_bytes(self, stream_id: int) -> int:
        """Return how many bytes of a stream wait for the peer's window."""
        stream = self._streams.by_id.get(stream_id)
        return stream.waiting if stream else 0

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take bytes that have arrived, cut anywhere. A session that is over ignores them.

        Raises:
            ProtocolError: If the peer breaks the protocol or a limit. The
                session is over; what came before the mistake is among the
                events, and the peer is told by what `data_to_send` returns.
        """
        if self._reason is not None:
            return
        self._keep_alive.heard(now)
        try:
            self._feed(data)
        except ProtocolError as error:
            self._fail(error)
            raise

    def receive_eof(self) -> None:
        """Take the end of the connection: every open stream is lost."""
        self._end("the connection ended")

    def events_received(self) -> list[Event]:
        """Take what has happened since the last call, in its order."""
        return self._receiver.take_events()

    def data_to_send(self, *, joined: bool = True) -> list[bytes]:
        """Take what is to be written, as binary messages of at most 262,144 bytes.

        Args:
            joined: Join everything into as few messages as possible. Otherwise
                each header and each payload is a message of its own, which is
                how a Go peer writes.
        """
        return self._output.take_joined() if joined else self._output.take_apart()

    def open_stream(self) -> int:
        """Open a stream and return its id. Data may follow at once.

        The peer may refuse it (`StreamReset`).

        Raises:
            UnavailableError: If this is the server's end, either end goes away,
                the session is over, or 2,147,483,648 streams were opened.
            LimitExceededError: If ``max_streams`` are open.
        """
        return self._streams.open()

    def send_data(self, stream_id: int, data: bytes) -> None:
        """Send data. What exceeds the peer's window waits until it grows.

        Raises:
            LimitExceededError: If more than ``max_queued_bytes`` would wait.
                Nothing of the data is sent: reset the stream.
            ValueError: If the stream was ended with `end_stream`.
        """
        self._streams.send(stream_id, data)

    def end_stream(self, stream_id: int) -> None:
        """Send nothing more on a stream. A second call changes nothing.

        FIN follows once, after all data that waits, and in the role of the
        server not before the client's FIN.
        """
        self._streams.end_sending(stream_id)

    def reset_stream(self, stream_id: int) -> None:
        """End a stream in both directions at once; what waits is dropped."""
        self._streams.reset(stream_id)

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Say that bytes of `DataReceived` were consumed, so that the peer may send more.

        Raises:
            ValueError: If more bytes are acknowledged than were received.
        """
        self._streams.acknowledge(stream_id, size)

    def ping(self, *, now: float) -> None:
        """Ask the peer for a sign of life; `PongReceived` tells how long it took."""
        if self._reason is None:
            self._output.add(PING, SYN, 0, self._keep_alive.pinged(now=now))

    def go_away(self, code: int = NORMAL) -> None:
        """Tell the peer to open no more streams; close the connection after writing it.

        A Go client that is told and not disconnected keeps a session that is
        of no use. Streams that the peer opens all the same are refused.
        """
        if self._reason is None:
            self._output.add(GO_AWAY, 0, 0, code)
            self._receiver.accepts = self._streams.may_open = False

    def next_deadline(self) -> float | None:
        """Return when to call `advance` next; None if the session is over."""
        return self._keep_alive.next_deadline() if self._reason is None else None

    def advance(self, now: float) -> None:
        """Ping if it is time to. Hand over what has arrived first.

        Raises:
            ProtocolError: If the peer was silent for ``ping_timeout_s`` after a
                ping. The session is over.
        """
        if self._reason is not None:
            return
        if self._keep_alive.is_lost(now):
            silence_s = self._limits.ping_timeout_s
            problem = f"yamux peer silent for {silence_s:g} s after a ping"
            raise self._fail(ProtocolError("timeout", problem))
        if self._keep_alive.is_due(now):
            self.ping(now=now)

    def _fail(self, error: ProtocolError) -> ProtocolError:
        """End the session over a mistake, and tell the peer if that makes sense."""
        self._error = error
        self._end(str(error))
        if error.kind in _UNREAD:
            self._output.clear()
        elif error.kind != "go_away":
            self._output.add(GO_AWAY, 0, 0, PROTOCOL_ERROR)
        return error

    def _end(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._streams.end()
            self._receiver.accepts = False
            self._receiver.events.append(SessionEnded(reason))
