"""yamux frames: the header, the values of its fields, and what cuts bytes into frames.

Source: yamux spec.md, "Framing".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol

from otelbridge.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Generator

# Version and type, flags, stream id, length; all big endian. The version is 0,
# so that its byte and the type's are the type.
HEADER: Final = struct.Struct("!HHII")
HEADER_BYTES: Final = HEADER.size

# Types.
DATA: Final = 0
WINDOW_UPDATE: Final = 1
PING: Final = 2
GO_AWAY: Final = 3

# Flags.
SYN: Final = 1
ACK: Final = 2
FIN: Final = 4
RST: Final = 8

# Codes of GO_AWAY.
NORMAL: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2

MAX_U32: Final = 2**32 - 1
# A gateway's WebSocket refuses larger messages.
MAX_MESSAGE_BYTES: Final = 262_144


class FrameHandler(Protocol):
    """Takes frames; every method may refuse one with ProtocolError."""

    def data_announced(self, flags: int, stream_id: int, length: int) -> bool:
        """Take a DATA header and return whether its payload is wanted."""
        ...

    def data_received(self, flags: int, stream_id: int, data: bytes) -> None:
        """Take a payload that was announced and wanted; it may be empty."""
        ...

    def window_updated(self, flags: int, stream_id: int, delta: int) -> None:
        """Take a WINDOW_UPDATE."""
        ...

    def pinged(self, flags: int, token: int) -> None:
        """Take a PING, or the answer to one of ours."""
        ...

    def sent_away(self, code: int) -> None:
        """Take a GO_AWAY."""
        ...


def read_frames(handler: FrameHandler) -> Generator[None, bytes, None]:
    """Read frames for ever, suspended while bytes are missing.

    Never more is kept than one header and one wanted payload. Payloads that
    nobody wants are dropped as they arrive.

    Raises:
        ProtocolError: If a version or type is unknown, or a frame is refused.
    """
    data, at = (yield), 0
    while True:
        while len(data) - at < HEADER_BYTES:
            data, at = data[at:] + (yield), 0
        kind, flags, stream_id, length = HEADER.unpack_from(data, at)
        at += HEADER_BYTES
        if kind == DATA:
            is_wanted = handler.data_announced(flags, stream_id, length)
            if (missing := at + length - len(data)) > 0:
                missed = _collect(data[at:], length) if is_wanted else _skip(missing)
                data, at, length = yield from missed
            if is_wanted:
                handler.data_received(flags, stream_id, data[at : at + length])
            at += length
        elif kind == WINDOW_UPDATE:
            handler.window_updated(flags, stream_id, length)
        elif kind == PING:
            handler.pinged(flags, length)
        elif kind == GO_AWAY:
            handler.sent_away(length)
        else:
            raise _unknown(kind)


def _collect(start: bytes, length: int) -> Generator[None, bytes, tuple[bytes, int, int]]:
    """Wait for a payload; return the bytes it is in, its offset and its length."""
    # A Go peer writes a payload apart from its header, and nothing needs to be copied.
    data = start or (yield)
    if len(data) < length:
        collected = bytearray(data)
        while len(collected) < length:
            collected += yield
        data = bytes(collected)
    return data, 0, length


def _skip(missing: int) -> Generator[None, bytes, tuple[bytes, int, int]]:
    """Wait until so many bytes have gone by; return the bytes that follow them."""
    while True:
        data = yield
        if len(data) >= missing:
            return data, missing, 0
        missing -= len(data)


def _unknown(kind: int) -> ProtocolError:
    version, type_ = divmod(kind, 256)
    if version:
        return ProtocolError("framing", f"yamux version {version}, only 0 is known")
    return ProtocolError("framing", f"yamux frame type {type_}, at most {GO_AWAY} is known")
