"""A client that is a bare socket: it sends any bytes, and is closed whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECE_BYTES = 65536


class Raw:
    """A connection without a transport: nothing of it outlives its socket.

    Args:
        opened: The socket, connected; it does not block.
    """

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send all of it, or what the server takes: what it said before it closed can be read."""
        with contextlib.suppress(ConnectionError):
            await self._loop.sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        """Return what has come, as soon as something has; nothing at the end."""
        try:
            return await self._loop.sock_recv(self._socket, _PIECE_BYTES)
        except ConnectionResetError:
            return b""

    async def until_closed(self) -> bytes:
        """Return all that comes until the server closes."""
        came = b""
        while more := await self.receive():
            came += more
        return came


@asynccontextmanager
async def raw(port: int, host: str = "127.0.0.1") -> AsyncIterator[Raw]:
    """Connect; the socket is closed at the end."""
    with socket.socket() as opened:
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, (host, port))
        yield Raw(opened)
