"""DRPC's encoding: numbers, frames, error bodies.

Source: storj.io/drpc v0.0.34, package drpcwire.

    frame  = first byte, varint stream, varint message, varint size, `size` bytes
    packet = the frames of one (stream, message), joined until one is done

Varints are little-endian groups of seven bits (LEB128), at most 64 bits in all.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from otelbridge.errors import ProtocolError

# The first byte: bit 0 done, bits 1 to 6 kind, bit 7 control.
DONE: Final = 0x01
CONTROL: Final = 0x80
KINDS: Final = 64

#: The longest data of a frame that is sent, in bytes; a packet of more is split.
SPLIT_SIZE: Final = 64 * 1024

_CONTINUED: Final = 0x80
_TWO_BYTES: Final = 0x4000
_MAX_VARINT_SIZE: Final = 10
_MAX_NUMBER: Final = (1 << 64) - 1
_ERROR_CODE = struct.Struct("!Q")


class Kind(IntEnum):
    """What a packet means.

    A packet of another kind is ignored if it has the control bit, else it is fatal.
    """

    INVOKE = 1
    MESSAGE = 2
    ERROR = 3
    CANCEL = 4
    CLOSE = 5
    CLOSE_SEND = 6
    INVOKE_METADATA = 7


class Header(NamedTuple):
    """The numbers of a frame.

    Attributes:
        stream: The stream's id.
        message: The packet's id within it.
        size: Bytes of data that follow.
        end: Where they begin.
    """

    stream: int
    message: int
    size: int
    end: int


def varint(number: int) -> bytes:
    """Return a number of 0 to 2^64 - 1 as a varint."""
    if number < _CONTINUED:
        return bytes((number,))
    if number < _TWO_BYTES:
        return bytes((number & 0x7F | _CONTINUED, number >> 7))
    out = bytearray()
    while number >= _CONTINUED:
        out.append(number & 0x7F | _CONTINUED)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int] | None:
    """Return the number that begins at a position, and where it ends.

    Returns:
        None if it is not complete.

    Raises:
        ProtocolError: If it is longer than 10 bytes or over 2^64 - 1.
    """
    number = 0
    for index, byte in enumerate(data[at : at + _MAX_VARINT_SIZE]):
        number |= (byte & 0x7F) << 7 * index
        if byte < _CONTINUED:
            if number > _MAX_NUMBER:
                raise ProtocolError("framing", f"drpc number {number}, at most 2^64 - 1 is allowed")
            return number, at + index + 1
    if len(data) - at < _MAX_VARINT_SIZE:
        return None
    raise ProtocolError("framing", f"drpc number of more than {_MAX_VARINT_SIZE} bytes")


def read_header(data: bytes, at: int) -> Header | None:
    """Return the numbers of the frame whose first byte is before a position.

    Returns:
        None if they are not complete.

    Raises:
        ProtocolError: See `read_varint`.
    """
    numbers = []
    for _ in range(3):
        found = read_varint(data, at)
        if found is None:
            return None
        number, at = found
        numbers.append(number)
    stream, message, size = numbers
    return Header(stream, message, size, at)


def encode_packet(
    kind: Kind, stream: int, message: int, data: bytes = b"", *, is_control: bool = False
) -> bytes:
    """Return a packet's frames, each with at most `SPLIT_SIZE` bytes of data."""
    first = kind << 1 | (CONTROL if is_control else 0)
    size = len(data)
    if stream | message | size < _CONTINUED:  # the common case, at once
        return bytes((first | DONE, stream, message, size)) + data
    ids = varint(stream) + varint(message)
    if size <= SPLIT_SIZE:
        return bytes((first | DONE,)) + ids + varint(size) + data
    frames = []
    for start in range(0, size, SPLIT_SIZE):
        part = data[start : start + SPLIT_SIZE]
        done = DONE if start + SPLIT_SIZE >= size else 0
        frames += [bytes((first | done,)) + ids + varint(len(part)), part]
    return b"".join(frames)


def encode_error(code: int, text: str) -> bytes:
    """Return the body of an Error packet.

    Args:
        code: 0 to 2^64 - 1; 0 says nothing, 12 is "unimplemented".
        text: What people read. It is cut to fit into one frame, and lone
            surrogates become question marks.
    """
    data = text.encode("utf-8", "replace")
    if len(data) > SPLIT_SIZE - _ERROR_CODE.size:
        data = data[: SPLIT_SIZE - _ERROR_CODE.size].decode("utf-8", "ignore").encode()
    return _ERROR_CODE.pack(code) + data


def decode_error(data: bytes) -> tuple[int, str]:
    """Return the code and text of an Error packet's body.

    A body too short for a code is all text, with code 0, as the Go library has
    it. Bytes that are no UTF-8 become replacement characters.
    """
    if len(data) < _ERROR_CODE.size:
        return 0, data.decode("utf-8", "replace")
    (code,) = _ERROR_CODE.unpack_from(data)
    return code, data[_ERROR_CODE.size :].decode("utf-8", "replace")
