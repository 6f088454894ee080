"""The client's end of one gRPC connection: bytes in, answers out, no socket.

It does what a load generator needs and refuses the rest: unary calls whose request fits
into one DATA frame, sent whole as soon as the peer's windows and stream limit allow.

Source: RFC 7540; gRPC over HTTP/2 (PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from benchmarks.errors import BenchmarkError
from benchmarks.hpack import Header, HeaderDecoder, HeaderEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CallT = TypeVar("CallT")

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
_PADDED_OR_PRIORITY: Final = 0x28
_MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE = 3, 4

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Length (24 bits, in two pieces), type, flags, stream (RFC 7540, 4.1).
FRAME: Final = struct.Struct(">HBBBI")
FRAME_SIZE: Final = FRAME.size
_SETTING: Final = struct.Struct(">HI")
_PREFIX: Final = struct.Struct(">BI")  # gRPC: compressed flag, length of the message
_STREAM_MASK: Final = 0x7FFF_FFFF
_DEFAULT_WINDOW: Final = 65_535
# Answers are 5 bytes each: with a GiB of window nothing needs to be handed back.
_RECEIVE_WINDOW: Final = 1 << 30
_MAX_FRAME: Final = 16_384  # RFC 7540, 6.5.2: what every peer accepts

_REQUEST_HEADERS: Final[tuple[Header, ...]] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"127.0.0.1"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),  # codespell:ignore te
    (b"user-agent", b"otelbridge-benchmarks"),
)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    size = len(payload)
    return FRAME.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


class ClientConnection(Generic[CallT]):
    """A connection that calls unary methods.

    A call is whatever the caller wants to get back together with the call's answer.
    ``headers`` go with every request.
    """

    def __init__(self, headers: tuple[Header, ...] = ()) -> None:
        self._encoder = HeaderEncoder((*_REQUEST_HEADERS, *headers))
        self._decoder = HeaderDecoder()
        self._output = [
            PREFACE,
            frame(SETTINGS, 0, 0, b""),
            frame(WINDOW_UPDATE, 0, 0, _RECEIVE_WINDOW.to_bytes(4)),
        ]
        self._rest = b""
        self._open: dict[int, CallT] = {}
        self._waiting: deque[tuple[bytes, bytes, CallT]] = deque()
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._max_streams = 1 << 31
        self._answers: list[tuple[CallT, Mapping[bytes, bytes]]] = []
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            DATA: self._on_data,
            HEADERS: self._on_headers,
            RST_STREAM: self._on_reset,
            SETTINGS: self._on_settings,
            PING: self._on_ping,
            GOAWAY: self._on_goaway,
            WINDOW_UPDATE: self._on_window_update,
        }

    def send_request(self, path: bytes, message: bytes, call: CallT) -> None:
        """Call the method at ``path``, now or when the peer's limits allow it."""
        if self._waiting or not self._may_send(len(message)):
            self._waiting.append((path, message, call))
        else:
            self._send(path, message, call)

    def data_to_send(self) -> bytes:
        """What has to be written to the peer."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    def receive_data(self, data: bytes) -> list[tuple[CallT, Mapping[bytes, bytes]]]:
        """The calls that ``data`` answers, each with its trailers."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= FRAME_SIZE:
            high, low, kind, flags, stream = FRAME.unpack_from(data, at)
            after = at + FRAME_SIZE + (high << 8 | low)
            if after > end:
                break
            if handler := self._handlers.get(kind):
                handler(flags, stream & _STREAM_MASK, data[at + FRAME_SIZE : after])
            at = after
        self._rest = data[at:]
        answers, self._answers = self._answers, []
        return answers

    def _may_send(self, size: int) -> bool:
        size += _PREFIX.size
        fits = size <= self._window and size <= self._stream_window
        return fits and len(self._open) < self._max_streams

    def _send(self, path: bytes, message: bytes, call: CallT) -> None:
        block, size = self._encoder.block(path), len(message) + _PREFIX.size
        if size > _MAX_FRAME:
            raise BenchmarkError(f"message of {size} bytes, at most {_MAX_FRAME} fit a frame")
        stream = self._next_stream
        self._next_stream += 2
        self._open[stream] = call
        self._window -= size
        self._output += (
            FRAME.pack(0, len(block), HEADERS, END_HEADERS, stream),
            block,
            FRAME.pack(size >> 8, size & 0xFF, DATA, END_STREAM, stream),
            _PREFIX.pack(0, len(message)),
            message,
        )

    def _send_waiting(self) -> None:
        while self._waiting and self._may_send(len(self._waiting[0][1])):
            self._send(*self._waiting.popleft())

    def _on_data(self, flags: int, stream: int, _payload: bytes) -> None:
        if flags & END_STREAM:
            raise BenchmarkError(f"stream {stream} ended without trailers")

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & _PADDED_OR_PRIORITY or not flags & END_HEADERS:
            raise BenchmarkError(f"HEADERS with flags {flags:#x} are not understood")
        headers = self._decoder.decode(payload)
        if flags & END_STREAM:
            self._answers.append((self._open.pop(stream), headers))
            self._send_waiting()

    def _on_reset(self, _flags: int, stream: int, payload: bytes) -> None:
        raise BenchmarkError(f"stream {stream} was reset, error {payload.hex()}")

    def _on_goaway(self, _flags: int, _stream: int, payload: bytes) -> None:
        raise BenchmarkError(f"the server says goodbye: {payload[8:]!r}")

    def _on_ping(self, flags: int, _stream: int, payload: bytes) -> None:
        if not flags & ACK:
            self._output.append(frame(PING, ACK, 0, payload))

    def _on_settings(self, flags: int, _stream: int, payload: bytes) -> None:
        if flags & ACK:
            return
        for setting, value in _SETTING.iter_unpack(payload):
            if setting == _INITIAL_WINDOW_SIZE:
                self._stream_window = value
            elif setting == _MAX_CONCURRENT_STREAMS:
                self._max_streams = value
        self._output.append(frame(SETTINGS, ACK, 0, b""))
        self._send_waiting()

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        # A stream's own window never matters: a request is sent whole, inside the first one.
        if stream == 0:
            self._window += int.from_bytes(payload)
            self._send_waiting()
