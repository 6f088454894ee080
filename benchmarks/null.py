"""A server that is hardly one: it answers every stream that ends with the same bytes.

What the generator reaches here, where an answer costs next to nothing, is its ceiling.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

import uvloop

from benchmarks.helper import answer_until_eof
from benchmarks.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    FRAME_SIZE,
    HEADERS,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)

_GREETING: Final = frame(SETTINGS, 0, 0, b"") + frame(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4))
_SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0, b"")
_HEAD: Final = b"\x88"  # HPACK: `:status: 200` of the static table
_TRAILERS: Final = b"\x00\x0bgrpc-status\x010"  # HPACK: literal, not indexed
_EMPTY_MESSAGE: Final = bytes(5)  # gRPC: not compressed, no bytes


def _answer(stream: int) -> bytes:
    return (
        FRAME.pack(0, len(_HEAD), HEADERS, END_HEADERS, stream)
        + _HEAD
        + FRAME.pack(0, len(_EMPTY_MESSAGE), DATA, 0, stream)
        + _EMPTY_MESSAGE
        + FRAME.pack(0, len(_TRAILERS), HEADERS, END_HEADERS | END_STREAM, stream)
        + _TRAILERS
    )


class _NullServer(asyncio.Protocol):
    def __init__(self) -> None:
        self._rest = b""
        self._to_skip = len(PREFACE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        data, answers = self._rest + data, []
        at, end = self._to_skip, len(data)
        while end - at >= FRAME_SIZE:
            high, low, kind, flags, stream = FRAME.unpack_from(data, at)
            after = at + FRAME_SIZE + (high << 8 | low)
            if after > end:
                break
            if kind == DATA and flags & END_STREAM:
                answers.append(_answer(stream))
            elif kind == SETTINGS and not flags & ACK:
                answers.append(_SETTINGS_ACK)
            at = after
        self._rest, self._to_skip = data[at:], max(0, at - end)
        self._transport.write(b"".join(answers))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_NullServer, "127.0.0.1", 0)
    await answer_until_eof(server.sockets[0].getsockname()[1], str)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
