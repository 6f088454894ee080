"""What a session has to send and was not taken yet."""

from __future__ import annotations

from typing import Final

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux.frames import DATA, HEADER, HEADER_BYTES, MAX_MESSAGE_BYTES

_pack: Final = HEADER.pack


class Output:
    """Frames in the order in which they are sent.

    Args:
        max_replies: Frames that only answer the peer and may wait at once.

    Attributes:
        size: Bytes that wait.
    """

    __slots__ = ("_max_replies", "_pieces", "_replies", "size")

    def __init__(self, *, max_replies: int) -> None:
        self._max_replies = max_replies
        self._pieces: list[bytes | memoryview] = []
        self._replies = 0
        self.size = 0

    def add(self, kind: int, flags: int, stream_id: int, value: int) -> None:
        """Add a frame without payload."""
        self._pieces.append(_pack(kind, flags, stream_id, value))
        self.size += HEADER_BYTES

    def add_reply(self, kind: int, flags: int, stream_id: int, value: int) -> None:
        """Add a frame without payload that the peer has asked for.

        Raises:
            ProtocolError: If too many wait: the peer asks and does not read.
        """
        if self._replies >= self._max_replies:
            problem = f"yamux peer asked for more than {self._max_replies} replies and read none"
            raise ProtocolError("flood", problem)
        self._replies += 1
        self.add(kind, flags, stream_id, value)

    def add_data(self, stream_id: int, data: bytes | memoryview) -> None:
        """Add a DATA frame."""
        self._pieces += (_pack(DATA, 0, stream_id, len(data)), data)
        self.size += HEADER_BYTES + len(data)

    def take_joined(self) -> list[bytes]:
        """Take everything, in as few messages as the largest allowed size permits."""
        if not self.size:
            return []
        whole = b"".join(self._pieces)
        self.clear()
        if len(whole) <= MAX_MESSAGE_BYTES:
            return [whole]
        starts = range(0, len(whole), MAX_MESSAGE_BYTES)
        return [whole[start : start + MAX_MESSAGE_BYTES] for start in starts]

    def take_apart(self) -> list[bytes]:
        """Take everything, each header and each payload as a message of its own."""
        pieces = [bytes(piece) for piece in self._pieces]
        self.clear()
        return pieces

    def clear(self) -> None:
        """Forget what waits."""
        self._pieces.clear()
        self._replies = 0
        self.size = 0
