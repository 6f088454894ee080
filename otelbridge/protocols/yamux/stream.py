"""One stream: its windows, what waits for the peer's, and how far it has ended."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux.frames import MAX_MESSAGE_BYTES, MAX_U32

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stream:
    """The state of a stream that has not ended in both directions.

    Args:
        window: What either end may send at first, in bytes.
        awaits_ack: Whether we have opened it.

    Attributes:
        send_window: What we may still send.
        receive_window: What the peer may still send.
        consumed: What the application has acknowledged and the peer was not told yet.
        waiting: Bytes that wait for the peer's window.
        awaits_ack: Whether the peer has yet to accept it.
        is_ending: Whether the application will send nothing more.
        has_fin: Whether the peer will send nothing more.
        has_sent_fin: Whether the peer was told that we will not.
    """

    __slots__ = (
        "_queue",
        "awaits_ack",
        "consumed",
        "has_fin",
        "has_sent_fin",
        "is_ending",
        "receive_window",
        "send_window",
        "waiting",
    )

    def __init__(self, *, window: int, awaits_ack: bool) -> None:
        self.send_window = self.receive_window = window
        self.consumed = self.waiting = 0
        self.awaits_ack = awaits_ack
        self.is_ending = self.has_fin = self.has_sent_fin = False
        self._queue: deque[memoryview] | None = None  # few streams ever need one

    def enqueue(self, data: bytes) -> None:
        """Let data wait for the peer's window."""
        if self._queue is None:
            self._queue = deque()
        self._queue.append(memoryview(data))
        self.waiting += len(data)

    def sendable(self) -> Iterator[memoryview]:
        """Take from what waits as much as the peer's window allows, in payloads of a frame."""
        while self._queue and self.send_window:
            head = self._queue.popleft()
            size = min(len(head), self.send_window, MAX_MESSAGE_BYTES)
            if size < len(head):
                self._queue.appendleft(head[size:])
            self.send_window -= size
            self.waiting -= size
            yield head[:size]

    def grow_send_window(self, delta: int) -> None:
        """Let so many bytes more be sent.

        Raises:
            ProtocolError: If a frame could not name the window any more.
        """
        window = self.send_window + delta
        if window > MAX_U32:
            problem = f"yamux window of {window} bytes, at most {MAX_U32} are possible"
            raise ProtocolError("flow_control", problem)
        self.send_window = window
