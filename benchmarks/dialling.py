"""Sessions that are opened and do nothing: how fast, and what they take of the server's memory."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from benchmarks import proc
from benchmarks.errors import BenchmarkError
from benchmarks.gateway_load import KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.child import Child

_REQUEST: Final = (
    "GET /api/v2/ai-gateway/serve?version=1.2 HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "X-Coder-Build-Version: v2.36.0\r\n"
    "X-Coder-AI-Governance-Gateway-Key: {key}\r\n\r\n"
)


async def dial_rate(server: Child, *, sessions: int) -> tuple[float, float]:
    """Open sessions one after the other; how many in a second, and the server's CPU time of one."""
    cpu_s, began = proc.cpu_s(server.pid), time.perf_counter()
    for number in range(sessions):
        async with _session(server.port, KEYS[number % len(KEYS)]):
            pass
    took = time.perf_counter() - began
    return sessions / took, (proc.cpu_s(server.pid) - cpu_s) / sessions


async def idle_bytes(server: Child, *, sessions: int) -> float:
    """What one of so many idle sessions takes of the server's memory.

    Raises:
        BenchmarkError: If the server does not know of them all.
    """
    before, _ = proc.memory_bytes(server.pid)
    async with AsyncExitStack() as stack:
        for number in range(sessions):
            await stack.enter_async_context(_session(server.port, KEYS[number % len(KEYS)]))
        if (connected := int(await server.ask())) != sessions:
            raise BenchmarkError(f"{connected} sessions are open, not {sessions}")
        after, _ = proc.memory_bytes(server.pid)
    return (after - before) / sessions


@asynccontextmanager
async def _session(port: int, key: str) -> AsyncIterator[None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_REQUEST.format(key=key).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise BenchmarkError(f"no session: {head.decode()[:100]}")
        yield
    finally:
        writer.close()
