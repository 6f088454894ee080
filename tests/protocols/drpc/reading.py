"""The rules of frames and packets once more, read off the specification, without haste."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from otelbridge.protocols.drpc.wire import Kind

_KNOWN = range(min(Kind), max(Kind) + 1)


class BrokenError(Exception):
    """A rule was broken."""


@dataclass
class Frame:
    """A frame; of the last one some data may be missing."""

    first: int
    id: tuple[int, int]
    size: int
    data: bytes

    @property
    def kind(self) -> int:
        """Bits 1 to 6."""
        return self.first >> 1 & 0b111111


@dataclass
class Unfinished:
    """A packet that is not done."""

    id: tuple[int, int]
    kind: int
    data: bytes = b""
    is_control: bool = False


def read_packets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the packets of a byte stream.

    Raises:
        BrokenError: If it breaks a rule; there are no limits.
    """
    lowest, packet = (1, 1), None
    for frame in _frames(data):
        if frame.id < lowest:
            raise BrokenError
        if packet is None or packet.id != frame.id:
            packet, lowest = Unfinished(frame.id, frame.kind), frame.id
        if packet.kind != frame.kind:
            raise BrokenError
        packet.is_control |= frame.first >= 0b10000000
        if len(frame.data) < frame.size:
            return
        packet.data += frame.data
        if frame.first & 1:
            if packet.kind in _KNOWN:
                yield packet.kind, packet.id[0], packet.data
            elif not packet.is_control:
                raise BrokenError
            packet, lowest = None, (frame.id[0], frame.id[1] + 1)


def _frames(data: bytes) -> Iterator[Frame]:
    while data:
        first, data = data[0], data[1:]
        try:
            stream, data = _number(data)
            message, data = _number(data)
            size, data = _number(data)
        except EOFError:
            return
        yield Frame(first, (stream, message), size, data[:size])
        data = data[size:]


def _number(data: bytes) -> tuple[int, bytes]:
    number = 0
    for index in range(10):
        if index == len(data):
            raise EOFError
        number |= (data[index] & 0x7F) << 7 * index
        if data[index] < 0x80:
            if number >= 1 << 64:
                raise BrokenError
            return number, data[index + 1 :]
    raise BrokenError
