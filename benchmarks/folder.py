"""A folder of a bridge, with the destinations that a benchmark wants."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx2

from benchmarks.child import start_command
from benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from benchmarks.child import Child

_READY_S: Final = 30.0
_POLL_S: Final = 0.02
_LOG_LINES: Final = 20
# A grace of half a second instead of six: what was sent is told soon after it.
_CONFIG: Final = """\
[listen]
grpc = "127.0.0.1:{grpc}"
http = "127.0.0.1:{http}"
drain_s = 1
[assembly]
grace_s = 0.5
"""
_DESTINATION: Final = """\
[[destination]]
name = "{name}"
endpoint = "http://127.0.0.1:{port}"
"""


class Folder:
    """A bridge's folder.

    Args:
        path: The directory; it has to be there.

    Attributes:
        url: Where the bridge that runs there serves HTTP.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = ""

    async def initialise(self) -> None:
        """Make its store.

        Raises:
            BenchmarkError: If `otelbridge init` fails.
        """
        init = await start_command("init", str(self.path), cwd=self.path, port=0)
        if status := await init.wait():
            raise BenchmarkError(f"{init.name} ended with {status}\n{self.last_words()}")

    @asynccontextmanager
    async def serve(self, **destinations: int) -> AsyncIterator[Child]:
        """Run `otelbridge serve` here.

        Args:
            **destinations: The ports of OTLP/gRPC servers, by destination.
        """
        grpc_port, http_port = free_ports(2)
        tables = [_DESTINATION.format(name=name, port=port) for name, port in destinations.items()]
        config = _CONFIG.format(grpc=grpc_port, http=http_port)
        (self.path / "otelbridge.toml").write_text("".join([config, *tables]))
        self.url = f"http://127.0.0.1:{http_port}"
        bridge = await start_command("serve", cwd=self.path, port=grpc_port)
        try:
            await self._until_ready(bridge)
            yield bridge
        finally:
            status = await bridge.stop()
        if status:
            raise BenchmarkError(f"{bridge.name} ended with {status}\n{self.last_words()}")

    async def metric(self, name: str) -> float:
        """The sum of all samples of this name on /metrics."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"{self.url}/metrics")).text
        lines = (line.rpartition(" ") for line in page.splitlines())
        return sum(float(value) for key, _, value in lines if key.partition("{")[0] == name)

    def last_words(self) -> str:
        """The end of what the bridge has logged."""
        lines = (self.path / "otelbridge.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

    async def _until_ready(self, bridge: Child) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_S
        async with httpx2.AsyncClient(trust_env=False) as client:
            while loop.time() < deadline:
                if bridge.has_exited:
                    raise BenchmarkError(f"{bridge.name} ended\n{self.last_words()}")
                try:
                    if (await client.get(f"{self.url}/readyz")).is_success:
                        return
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(_POLL_S)
        raise BenchmarkError(f"{bridge.name} was not ready within {_READY_S:.0f} s")


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [int(one.getsockname()[1]) for one in sockets]
