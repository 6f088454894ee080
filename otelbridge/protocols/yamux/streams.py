"""The streams of a session, and what we do to them.

Source: yamux spec.md, "Opening a stream", "Closing a stream" and "Flow Control".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.errors import LimitExceededError, UnavailableError
from otelbridge.protocols.yamux.frames import (
    FIN,
    MAX_MESSAGE_BYTES,
    MAX_U32,
    RST,
    SYN,
    WINDOW_UPDATE,
)
from otelbridge.protocols.yamux.role import Role
from otelbridge.protocols.yamux.stream import Stream

if TYPE_CHECKING:
    from otelbridge.protocols.yamux.limits import Limits
    from otelbridge.protocols.yamux.output import Output


class Streams:
    """All streams of a session that have not ended in both directions.

    What `Session` offers is documented there. Nothing happens to a stream that
    is gone: its peer may have reset it a moment ago.

    Args:
        role: Which end we are.
        limits: What the peer is granted.
        output: Where frames to send are added.

    Attributes:
        by_id: The streams; one dictionary for the life of the session.
        waiting: Bytes that wait for the peer's windows.
        may_open: Whether we may open streams.
    """

    def __init__(self, role: Role, *, limits: Limits, output: Output) -> None:
        self._is_server = role is Role.SERVER
        self._limits = limits
        self._output = output
        self._next_id = 1  # a client's ids are odd (spec.md, "StreamID Field")
        self.by_id: dict[int, Stream] = {}
        self.waiting = 0
        self.may_open = role is Role.CLIENT

    def open(self) -> int:
        """Open a stream, as `Session.open_stream`."""
        if not self.may_open or self._next_id > MAX_U32:
            raise UnavailableError("the session takes no new streams")
        if len(self.by_id) >= self._limits.max_streams:
            count = len(self.by_id)
            raise LimitExceededError(f"{count} streams are open, no more are allowed at once")
        stream_id = self._next_id
        self._next_id += 2
        self.by_id[stream_id] = Stream(window=self._limits.window_bytes, awaits_ack=True)
        self._output.add(WINDOW_UPDATE, SYN, stream_id, 0)
        return stream_id

    def send(self, stream_id: int, data: bytes) -> None:
        """Send data or let it wait, as `Session.send_data`."""
        stream = self.by_id.get(stream_id)
        if stream is None:
            return
        if stream.is_ending:
            raise ValueError(f"stream {stream_id} was ended: nothing can be sent on it")
        size = len(data)
        output = self._output
        if output.size + self.waiting + size > self._limits.max_queued_bytes:
            raise self._queue_full(size)
        # While anything waits the window is 0: nothing overtakes it.
        if size > stream.send_window or size > MAX_MESSAGE_BYTES:
            stream.enqueue(data)
            self.waiting += size
            self.send_waiting(stream_id, stream)
        elif size:
            stream.send_window -= size
            output.add_data(stream_id, data)

    def _queue_full(self, size: int) -> LimitExceededError:
        queued = self._output.size + self.waiting
        most = self._limits.max_queued_bytes
        problem = f"{size} bytes to send on top of {queued} that wait, at most {most} may"
        return LimitExceededError(problem)

    def send_waiting(self, stream_id: int, stream: Stream) -> None:
        """Send what the peer's window allows now."""
        before = stream.waiting
        for data in stream.sendable():
            self._output.add_data(stream_id, data)
        self.waiting -= before - stream.waiting
        self.finish_if_due(stream_id, stream)

    def end_sending(self, stream_id: int) -> None:
        """Send FIN as soon as it is allowed, as `Session.end_stream`."""
        stream = self.by_id.get(stream_id)
        if stream is not None:
            stream.is_ending = True
            self.finish_if_due(stream_id, stream)

    def finish_if_due(self, stream_id: int, stream: Stream) -> None:
        """Send FIN, once, if everything was sent; as a server only after the peer's.

        A Go client fails a call that was answered if its stream is ended before
        the client has, and takes a second FIN for the end of the session.
        """
        if not stream.is_ending or stream.waiting or stream.has_sent_fin:
            return
        if self._is_server and not stream.has_fin:
            return
        stream.has_sent_fin = True
        self._output.add(WINDOW_UPDATE, FIN, stream_id, 0)
        if stream.has_fin:
            self.forget(stream_id, stream)

    def reset(self, stream_id: int) -> None:
        """End a stream in both directions, as `Session.reset_stream`."""
        stream = self.by_id.get(stream_id)
        if stream is not None:
            self.forget(stream_id, stream)
            self._output.add(WINDOW_UPDATE, RST, stream_id, 0)

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Count bytes as consumed, as `Session.acknowledge`."""
        stream = self.by_id.get(stream_id)
        if stream is None:
            return
        consumed = stream.consumed + size
        window = self._limits.window_bytes
        if size < 0 or consumed > window - stream.receive_window:
            raise ValueError(f"stream {stream_id}: {size} bytes acknowledged, not so many came")
        if consumed * 2 < window or stream.has_fin:
            stream.consumed = consumed
            return
        stream.consumed = 0
        stream.receive_window += consumed
        self._output.add(WINDOW_UPDATE, 0, stream_id, consumed)

    def forget(self, stream_id: int, stream: Stream) -> None:
        """Drop a stream that has ended in both directions, and what waits in it."""
        del self.by_id[stream_id]
        self.waiting -= stream.waiting

    def end(self) -> None:
        """Forget every stream: the session is over."""
        self.by_id.clear()
        self.waiting = 0
        self.may_open = False
