"""A TCP proxy that does what networks do: it refuses, resets, swallows and holds back.

async with FaultProxy(collector.grpc_port) as proxy:
    ...  # send to proxy.port
    proxy.cut()
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine

_CHUNK = 64 * 1024
# l_onoff = 1, l_linger = 0: closing sends a reset, not the end of the data.
_RESET = struct.pack("ii", 1, 0)


class _Connection:
    """A client's connection and the one behind it.

    Attributes:
        flows: Bytes pass, in both directions.
        answers: Bytes of the server pass.
    """

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.flows = asyncio.Event()
        self.answers = asyncio.Event()
        self._writers = writers

    def close(self) -> None:
        """End both connections once everything is written."""
        for writer in self._writers:
            writer.close()

    def reset(self) -> None:
        """End both connections as a crash does."""
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class FaultProxy:
    """Passes connections on to a port of this machine until told otherwise.

    Args:
        target_port: Where to.

    Attributes:
        port: Where it listens; it keeps it while it refuses connections.
        accepted: How many connections came.
        passed: How many bytes of clients were passed on.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.accepted = 0
        self.passed = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_silent = False
        self._is_mute = False

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def endpoint(self) -> str:
        """Return its URL."""
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Accept connections, again at the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset all connections; new ones are accepted."""
        for connection in self._connections:
            connection.reset()

    def silence(self, *, new_ones: bool = False) -> None:
        """Let no byte pass on the connections that there are, without closing them.

        Args:
            new_ones: Nor on those to come.
        """
        self._is_silent = new_ones
        for connection in self._connections:
            connection.flows.clear()

    def mute(self) -> None:
        """Let the server get everything, and no byte of its answers pass."""
        self._is_mute = True
        for connection in self._connections:
            connection.answers.clear()

    def heal(self) -> None:
        """Let everything pass, also what was held back."""
        self._is_silent = self._is_mute = False
        for connection in self._connections:
            connection.flows.set()
            connection.answers.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            target = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, target[1])
        if not self._is_silent:
            connection.flows.set()
        if not self._is_mute:
            connection.answers.set()
        self._connections.add(connection)
        self._run(self._pass_on(connection, reader, target[1]))
        self._run(self._pass_back(connection, target[0], writer))

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await connection.flows.wait()
                writer.write(data)
                self.passed += len(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._end(connection)

    async def _pass_back(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await connection.flows.wait()
                await connection.answers.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._end(connection)

    def _end(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        connection.close()
