"""A gateway that writes any bytes, right or wrong, and sees every byte that comes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from otelbridge.protocols import drpc
from otelbridge.transports.access import GATEWAY_KEY
from otelbridge.transports.gateway.endpoint import PATH
from tests.protocols.drpc.frames import call
from tests.protocols.yamux.wire import ACK, DATA, FIN, RST, SYN, Frame, data, split, update
from tests.transports.fakes import RIGHT_KEY
from tests.transports.gateway.worlds import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from websockets.asyncio.client import ClientConnection


class Place(Protocol):
    """Where a bridge is."""

    @property
    def url(self) -> str:
        """``ws://HOST:PORT``."""


class Peer:
    """A connection to the endpoint.

    Attributes:
        websocket: The connection.
        messages: The messages that have come.
        frames: The yamux frames in them.
    """

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.messages: list[bytes] = []
        self.frames: list[Frame] = []
        self._rest = b""
        self._closed = ""
        self._came = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def send(self, *pieces: bytes) -> None:
        """Send each as a binary message."""
        for piece in pieces:
            await self.websocket.send(piece)

    async def call(
        self, stream_id: int, rpc: str, request: bytes = b"", *, fin: bool = False
    ) -> None:
        """Open a stream and make a call on it."""
        body = call(data=request, rpc=f"/proto.{rpc}")
        await self.send(update(stream_id, flags=SYN), data(stream_id, body))
        if fin:
            await self.end(stream_id)

    async def end(self, stream_id: int) -> None:
        """Send FIN."""
        await self.send(update(stream_id, flags=FIN))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as something holds of what has come."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._came.clear()
                await self._came.wait()

    async def more(self) -> None:
        """Return when something has come."""
        self._came.clear()
        await self._came.wait()

    async def until_closed(self) -> tuple[int, str]:
        """Return the code and reason with which the connection was closed."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait({self._reading})
        return self.websocket.close_code or 0, self.websocket.close_reason or ""

    async def answer(self, stream_id: int) -> tuple[str, bytes]:
        """Return what a call is answered with: ``OK``, or the error's text; and the message.

        A reset is answered with ``reset``.
        """
        transport = drpc.ClientTransport(limits=drpc.Limits(max_packet_bytes=1 << 26))
        transport.invoke("x")
        seen, message, end = 0, b"", ""

        def take() -> bool:
            nonlocal seen, message, end
            for frame in self.of(stream_id)[seen:]:
                seen += 1
                transport.receive_data(frame.payload)
                for event in transport.events_received():
                    if isinstance(event, drpc.MessageReceived):
                        message = event.data
                    elif isinstance(event, drpc.CallFailed):
                        end = event.text
                    elif isinstance(event, drpc.CallEnded):
                        end = "OK"
                if frame.flags & RST:
                    end = "reset"
            return bool(end)

        await self.until(take)
        return end, message

    def of(self, stream_id: int) -> list[Frame]:
        """Return the frames of a stream that have come."""
        return [frame for frame in self.frames if frame.stream_id == stream_id]

    def has(self, stream_id: int, flag: int) -> bool:
        """Return whether a frame with a flag has come on a stream."""
        return any(frame.flags & flag for frame in self.of(stream_id))

    def is_accepted(self, stream_id: int) -> bool:
        """Return whether a stream was accepted."""
        return self.has(stream_id, ACK)

    def payload(self, stream_id: int) -> bytes:
        """Return what has come on a stream."""
        return b"".join(f.payload for f in self.of(stream_id) if f.kind == DATA)

    async def close(self) -> None:
        """Close the connection and stop."""
        await self.websocket.close()
        await self._reading

    async def _read(self) -> None:
        try:
            async for message in self.websocket:
                assert isinstance(message, bytes)
                self.messages.append(message)
                frames, self._rest = split(self._rest + message)
                self.frames += frames
                self._came.set()
        except ConnectionClosed:
            pass
        self._came.set()


@asynccontextmanager
async def peer(world: Place, key: str = RIGHT_KEY) -> AsyncIterator[Peer]:
    """Connect."""
    websocket = await connect(
        f"{world.url}{PATH}?version=1.0",
        additional_headers={GATEWAY_KEY: key},
        compression=None,
        ping_interval=None,
        proxy=None,
        close_timeout=0.2,
    )
    made = Peer(websocket)
    try:
        yield made
    finally:
        await made.close()
