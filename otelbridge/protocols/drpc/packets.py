"""From bytes to packets: frames are read, checked and joined.

Source: storj.io/drpc v0.0.34, drpcwire.Reader. Ids begin at (1, 1) and never
decrease; the id of a packet that is done may not recur; a higher id discards
an unfinished packet; all frames of a packet have one kind; one frame with the
control bit makes the packet a control packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from otelbridge.errors import ProtocolError
from otelbridge.protocols.drpc.wire import CONTROL, DONE, KINDS, Kind, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelbridge.protocols.drpc.limits import Limits

#: Kind, stream id and data: a plain tuple, as three are made a call.
Packet: TypeAlias = tuple[int, int, bytes]

_KIND_MASK: Final = KINDS - 1
_LAST_KIND: Final = max(Kind)
# The first byte and three numbers of one byte each.
_SHORTEST_HEADER: Final = 4
_CONTINUED: Final = 0x80


class PacketReader:
    """Reads packets from a byte stream that may be cut anywhere.

    It holds at most the header of one frame (31 bytes) and the data of one
    packet, as far as it has come.

    Args:
        limits: What is accepted.
    """

    __slots__ = (
        "_body",
        "_frames",
        "_header",
        "_is_control",
        "_is_last",
        "_kind",
        "_max_bytes",
        "_max_frames",
        "_message",
        "_missing",
        "_stream",
        "_whole",
    )

    def __init__(self, limits: Limits) -> None:
        self._max_bytes = limits.max_bytes_of_kind
        self._whole = limits.max_bytes_of_whole
        self._max_frames = limits.max_packet_frames
        # The lowest id that may come, or the unfinished packet's.
        self._stream = self._message = 1
        self._header = b""
        # The unfinished packet, and how much of its last frame is missing.
        self._body: bytearray | None = None
        self._kind = self._frames = self._missing = 0
        self._is_control = self._is_last = False

    @property
    def held_bytes(self) -> int:
        """How many bytes of an unfinished packet are held."""
        return len(self._header) + (len(self._body) if self._body is not None else 0)

    def packets(self, data: bytes) -> Iterator[Packet]:
        """Read what came and yield the packets that it completes.

        Yields:
            Kind, stream id and data of each packet. The kind is one of `Kind`:
            unknown ones are ignored, or an error.

        Raises:
            ProtocolError: If the peer breaks a rule or a limit; nothing can be
                read any more.
        """
        if self._header:
            data, self._header = self._header + data, b""
        at, end = self._fill(data, 0), len(data)
        if (packet := self._take()) is not None:
            yield packet
        while end - at >= _SHORTEST_HEADER:
            first, stream, message, size = data[at : at + _SHORTEST_HEADER]
            start = at + _SHORTEST_HEADER
            # Numbers of one byte, but for the size of most messages, which takes two.
            if stream | message | size < _CONTINUED:
                pass
            elif stream | message < _CONTINUED and at + 4 < end and data[at + 4] < _CONTINUED:
                size += (data[at + 4] << 7) - _CONTINUED
                start += 1
            else:
                header = read_header(data, at + 1)
                if header is None:
                    break
                stream, message, size, start = header
            at = start + size
            # A whole packet in one frame, as nearly all are; `_begin` says the rules.
            if (
                size <= self._whole[first]
                and at <= end
                and self._body is None
                and (message >= self._message if stream == self._stream else stream > self._stream)
            ):
                self._stream, self._message = stream, message + 1
                yield first >> 1 & _KIND_MASK, stream, data[start:at]
            else:
                self._begin(first, (stream, message), size)
                at = self._fill(data, start)
                if (packet := self._take()) is not None:
                    yield packet
        self._header = data[at:]

    def _begin(self, first: int, frame_id: tuple[int, int], size: int) -> None:
        """Check a frame against the packet that it belongs to.

        Raises:
            ProtocolError: If it may not come, or makes the packet too large.
        """
        kind, expected = first >> 1 & _KIND_MASK, (self._stream, self._message)
        if frame_id < expected:
            raise ProtocolError("sequence", f"drpc id {frame_id} after {expected}")
        if self._body is None or frame_id > expected:
            self._stream, self._message = frame_id
            self._body, self._kind, self._is_control, self._frames = bytearray(), kind, False, 0
        elif kind != self._kind:
            raise ProtocolError("sequence", f"drpc kind {kind} in a packet of kind {self._kind}")
        self._check_size(len(self._body) + size)
        self._is_control |= bool(first & CONTROL)
        self._is_last, self._missing = bool(first & DONE), size

    def _check_size(self, size: int) -> None:
        self._frames += 1
        most = self._max_bytes[self._kind]
        if size > most:
            raise ProtocolError("too_large", f"drpc packet of {size} bytes, at most {most}")
        if self._frames > self._max_frames:
            raise ProtocolError("too_large", f"drpc packet of over {self._max_frames} frames")

    def _fill(self, data: bytes, start: int) -> int:
        """Add what came of the frame's data to the packet, and return where it ends."""
        if not self._missing or self._body is None:
            return start
        part = data[start : start + self._missing]
        self._body += part
        self._missing -= len(part)
        return start + len(part)

    def _take(self) -> Packet | None:
        """Return the packet if it is complete and of a known kind.

        Raises:
            ProtocolError: If it is of an unknown kind and no control packet.
        """
        if self._body is None or self._missing or not self._is_last:
            return None
        body, self._body = bytes(self._body), None
        self._message += 1
        if 0 < self._kind <= _LAST_KIND:
            return self._kind, self._stream, body
        if self._is_control:
            return None
        raise ProtocolError("framing", f"drpc kind {self._kind} is unknown")
