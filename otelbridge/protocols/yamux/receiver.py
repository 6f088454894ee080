"""What the peer's frames do, and the rules that they must keep.

Source: yamux spec.md, "Message Flow".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux.events import (
    DataReceived,
    Event,
    GoAwayReceived,
    PongReceived,
    StreamEnded,
    StreamOpened,
    StreamReset,
)
from otelbridge.protocols.yamux.frames import (
    ACK,
    FIN,
    NORMAL,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
)
from otelbridge.protocols.yamux.peer_ids import PeerIds
from otelbridge.protocols.yamux.role import Role
from otelbridge.protocols.yamux.stream import Stream

if TYPE_CHECKING:
    from otelbridge.protocols.yamux.keep_alive import KeepAlive
    from otelbridge.protocols.yamux.limits import Limits
    from otelbridge.protocols.yamux.output import Output
    from otelbridge.protocols.yamux.streams import Streams


class Receiver:
    """Applies the peer's frames (`FrameHandler`).

    Frames for a stream that is not open are dropped: it was refused or reset,
    and they were on their way.

    Args:
        role: Which end we are.
        limits: What the peer is granted.
        streams: The streams.
        output: Where replies are added.
        keep_alive: Which pings of ours wait for an answer.

    Attributes:
        events: What has happened and was not told yet.
        accepts: Whether the peer may open streams.
        refused: How many of its streams were refused.
    """

    def __init__(
        self,
        role: Role,
        *,
        limits: Limits,
        streams: Streams,
        output: Output,
        keep_alive: KeepAlive,
    ) -> None:
        self._limits = limits
        self._streams = streams
        self._by_id = streams.by_id
        self._output = output
        self._keep_alive = keep_alive
        # Even ids are a server's, odd ones a client's (spec.md, "StreamID Field").
        self._peer_ids = PeerIds(1 if role is Role.SERVER else 2)
        self._backlog = 0
        self.events: list[Event] = []
        self.accepts = role is Role.SERVER
        self.refused = 0

    def take_events(self) -> list[Event]:
        """Take what has happened; with it, the peer's new streams leave the backlog."""
        events, self.events = self.events, []
        self._backlog = 0
        return events

    def data_announced(self, flags: int, stream_id: int, length: int) -> bool:
        """Take a DATA header and return whether its payload is wanted."""
        if flags:
            self._begin(flags, stream_id)
        stream = self._by_id.get(stream_id)
        if stream is None:
            return False
        if length > stream.receive_window or length > self._limits.max_frame_bytes:
            raise self._too_much(stream, length)
        stream.receive_window -= length
        # A Go client may write while another goroutine closes, and a payload follows
        # the FIN. Nobody waits for it, and the other streams must live.
        return not stream.has_fin

    def data_received(self, flags: int, stream_id: int, data: bytes) -> None:
        """Take a payload that was announced and wanted; it may be empty."""
        stream = self._by_id.get(stream_id)
        if stream is None:
            return  # it was reset while the payload arrived
        if data:
            self.events.append(DataReceived(stream_id, data))
        if flags & FIN:
            self._end(stream_id, stream)

    def window_updated(self, flags: int, stream_id: int, delta: int) -> None:
        """Take a WINDOW_UPDATE."""
        if flags:
            self._begin(flags, stream_id)
        stream = self._by_id.get(stream_id)
        if stream is None:
            return
        if delta:
            stream.grow_send_window(delta)
            if stream.waiting:
                self._streams.send_waiting(stream_id, stream)
        if flags & FIN:
            self._end(stream_id, stream)

    def pinged(self, flags: int, token: int) -> None:
        """Take a PING, or the answer to one of ours."""
        if flags & SYN:
            self._output.add_reply(PING, ACK, 0, token)
            return
        round_trip_s = self._keep_alive.answered(token)
        if round_trip_s is not None:
            self.events.append(PongReceived(round_trip_s))

    def sent_away(self, code: int) -> None:
        """Take a GO_AWAY."""
        self._streams.may_open = False
        self.events.append(GoAwayReceived(code))
        if code != NORMAL:
            raise ProtocolError("go_away", f"yamux peer gave up with code {code}")

    def _begin(self, flags: int, stream_id: int) -> None:
        """Apply the flags that take effect before a payload."""
        if flags & SYN:
            self._open(stream_id)
        stream = self._by_id.get(stream_id)
        if stream is None:
            return
        if flags & ACK:
            self._accept(stream_id, stream)
        if flags & FIN and stream.has_fin:
            raise ProtocolError("sequence", f"yamux stream {stream_id} was ended before")
        if flags & RST:
            self._streams.forget(stream_id, stream)
            self.events.append(StreamReset(stream_id))

    def _open(self, stream_id: int) -> None:
        if not self._peer_ids.is_valid(stream_id):
            problem = f"yamux stream id {stream_id} is not for the peer to open"
            raise ProtocolError("sequence", problem)
        if not self._peer_ids.use(stream_id):
            raise ProtocolError("sequence", f"yamux stream {stream_id} was opened before")
        if not self._has_room():
            self.refused += 1
            self._output.add_reply(WINDOW_UPDATE, RST, stream_id, 0)
            return
        self._backlog += 1
        self._by_id[stream_id] = Stream(window=self._limits.window_bytes, awaits_ack=False)
        self._output.add_reply(WINDOW_UPDATE, ACK, stream_id, 0)
        self.events.append(StreamOpened(stream_id))

    def _has_room(self) -> bool:
        limits = self._limits
        return (
            self.accepts
            and len(self._by_id) < limits.max_streams
            and self._backlog < limits.accept_backlog
        )

    def _accept(self, stream_id: int, stream: Stream) -> None:
        if not stream.awaits_ack:
            raise ProtocolError("sequence", f"yamux stream {stream_id} awaits no ACK")
        stream.awaits_ack = False

    def _end(self, stream_id: int, stream: Stream) -> None:
        stream.has_fin = True
        self.events.append(StreamEnded(stream_id))
        if stream.has_sent_fin:
            self._streams.forget(stream_id, stream)
        else:
            self._streams.finish_if_due(stream_id, stream)

    def _too_much(self, stream: Stream, length: int) -> ProtocolError:
        window = stream.receive_window
        if length > window:
            problem = f"yamux payload of {length} bytes, the window is {window}"
            return ProtocolError("flow_control", problem)
        most = self._limits.max_frame_bytes
        problem = f"yamux payload of {length} bytes, at most {most} are accepted"
        return ProtocolError("too_large", problem)
