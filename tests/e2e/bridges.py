"""A whole bridge in the test's own process, with a scripted collector behind it."""

from __future__ import annotations

import re
import ssl
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
import httpx2

from otelbridge.commands.init import initialise
from otelbridge.config import build_config
from otelbridge.server import Server
from otelbridge.transports.gateway.client import GatewayClient, dialled
from otelbridge.transports.target import Target
from tests.collector import Collector
from tests.store.files import GATEWAY_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_SAMPLE = re.compile(r"^(\w+?)(?:\{(.*)\})? ([^ ]+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# Loading the system's authorities takes longer than a scrape.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Bridge:
    """A running bridge.

    Attributes:
        server: The server.
        collector: What it delivers to.
        channel: A channel to its gRPC port.
    """

    def __init__(self, server: Server, collector: Collector, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.collector = collector
        self.channel = channel

    async def call(self, method: str, request: Any, **options: Any) -> bytes:
        """Call ``Service/Method``; return the raw reply."""
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        reply: bytes = await self.channel.unary_unary(f"/proto.{method}")(raw, **options)
        return reply

    async def metrics(self) -> Counter[tuple[str, frozenset[tuple[str, str]]]]:
        """Return every sample of /metrics as a person's curl sees it."""
        async with httpx2.AsyncClient(trust_env=False, verify=_NO_AUTHORITIES) as client:
            return samples_of((await client.get(self.server.addresses["metrics"])).text)

    async def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of this name that have these labels."""
        return total_of(await self.metrics(), name, **labels)


def total_of(
    samples: Counter[tuple[str, frozenset[tuple[str, str]]]], name: str, **labels: str
) -> float:
    """Return the sum of all samples of this name that have these labels."""
    wanted = set(labels.items())
    return sum(value for (n, found), value in samples.items() if n == name and wanted <= found)


def gateway_target(bridge: Bridge) -> Target:
    """Return where a bridge is for a stock gateway."""
    return Target.parse(bridge.server.addresses["gateway"].replace("http", "ws", 1))


@asynccontextmanager
async def connected(bridge: Bridge, key: str = GATEWAY_KEY) -> AsyncIterator[GatewayClient]:
    """Connect to a bridge as a stock gateway."""
    async with dialled(gateway_target(bridge).url, key=key) as client:
        yield client


def samples_of(page: str) -> Counter[tuple[str, frozenset[tuple[str, str]]]]:
    """Return every sample of a page of metrics: its value by name and labels."""
    found: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
    for line in page.splitlines():
        if match := _SAMPLE.match(line):
            labels = frozenset(_LABEL.findall(match[2] or ""))
            found[match[1], labels] = float(match[3])  # type: ignore[assignment]  # counts
    return found


@asynccontextmanager
async def running(
    directory: Path, collector: Collector, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[Bridge]:
    """Run a bridge on a directory, made by `otelbridge init` if it is new."""
    if not (directory / "store.toml").exists():
        initialise(directory)
    data: dict[str, Any] = {
        "listen": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"},
        "assembly": {"grace_s": 0.2},
        "journal": {"reserve_bytes": "1MiB"},  # whatever is kept of a test's directory is small
        "metrics": {"interval_s": 0.2},
        "destination": [{"name": "sink", "endpoint": collector.grpc_endpoint}],
        **(settings or {}),
    }
    server = Server(build_config(data, {}, base=directory), environ={})
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.addresses["grpc"]) as channel:
            yield Bridge(server, collector, channel)
    finally:
        await server.stop()
