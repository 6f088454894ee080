"""What both ends of a DRPC transport do alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from otelbridge.errors import LimitExceededError, ProtocolError
from otelbridge.protocols.drpc.events import CancelReason
from otelbridge.protocols.drpc.limits import DEFAULT_LIMITS
from otelbridge.protocols.drpc.packets import PacketReader
from otelbridge.protocols.drpc.wire import Kind, encode_packet

if TYPE_CHECKING:
    from otelbridge.protocols.drpc.limits import Limits

EventT = TypeVar("EventT")


class Transport(ABC, Generic[EventT]):
    """One end of a byte stream that carries calls, one after another.

    Give it what was read (`receive_data`, `receive_eof`), take what that means
    (`events_received`), say what to send, and write `data_to_send`. What is
    sent in a call that is over goes nowhere, silently: the peer may end a call
    at any time, and whoever works on it learns of it later.

    It has no task, clock or socket, and closes nothing: when a call is over
    the byte stream is as it was.

    Args:
        limits: What is accepted of the peer.
    """

    __slots__ = ("_events", "_is_ended", "_limits", "_message_id", "_out", "_packets")

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._packets = PacketReader(limits)
        self._events: list[EventT] = []
        self._out: list[bytes] = []
        self._is_ended = False
        # Of the packet sent last in the call.
        self._message_id = 0

    @property
    def is_ended(self) -> bool:
        """Whether nothing more can come; `TransportEnded` is, or was, among the events."""
        return self._is_ended

    @property
    def held_bytes(self) -> int:
        """How many bytes are held of a packet that is not complete: at most the limit's."""
        return self._packets.held_bytes

    def receive_data(self, data: bytes) -> None:
        """Take what was read, cut anywhere. After the end it is ignored.

        Args:
            data: At most a few hundred KiB: every 4 bytes may make two events.

        Raises:
            ProtocolError: If the peer breaks a rule or a limit (kind
                ``too_large``); reset the byte stream, and no other. What came
                before is told all the same, then the end of the call and of
                the transport.
        """
        if self._is_ended:
            return
        try:
            for kind, stream, body in self._packets.packets(data):
                self._receive(kind, stream, body)
        except ProtocolError:
            self._end(CancelReason.BROKEN)
            raise

    def receive_eof(self) -> None:
        """Take that nothing more can be read; a packet cut short is dropped.

        It ends the call, for a stock gateway cancels so.
        """
        if not self._is_ended:
            self._end(CancelReason.EOF)

    def events_received(self) -> list[EventT]:
        """Return what happened since it was last asked, in order."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Return what to write, and forget it."""
        out, self._out = self._out, []
        return b"".join(out)

    @abstractmethod
    def _receive(self, kind: int, stream: int, body: bytes) -> None:
        """Act on a packet of a known kind; stream ids never decrease.

        Raises:
            ProtocolError: If it is not allowed now.
        """

    @abstractmethod
    def _end(self, reason: CancelReason) -> None:
        """Tell that the open call, if there is one, and the transport are over."""

    def _send(
        self, kind: Kind, call_id: int, data: bytes = b"", *, is_control: bool = False
    ) -> None:
        self._message_id += 1
        self._out.append(
            encode_packet(kind, call_id, self._message_id, data, is_control=is_control)
        )

    def _check_message(self, data: bytes) -> None:
        """Refuse what a peer with the same limits would.

        Raises:
            LimitExceededError: If a message is too large.
        """
        most = self._limits.max_packet_bytes
        if len(data) > most:
            raise LimitExceededError(f"message of {len(data)} bytes, at most {most} are allowed")
