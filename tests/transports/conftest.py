"""Servers that a test starts are stopped after it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.transports.fakes import server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from otelbridge.transports.grpc_server import GrpcServer


class Startable(Protocol):
    """A server of HTTP or of the control socket."""

    async def start(self) -> None:
        """Listen and serve."""

    async def stop(self) -> None:
        """Close."""


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[GrpcServer]]]:
    """Start gRPC servers; see `tests.transports.fakes.server`."""
    async with AsyncExitStack() as stack:

        async def start(*args: object, **options: object) -> GrpcServer:
            started = server(*args, **options)  # type: ignore[arg-type]  # as `server` has it
            await started.start()
            stack.push_async_callback(started.stop, 0)
            return started

        yield start


@pytest.fixture
async def run() -> AsyncIterator[Callable[[Startable], Awaitable[None]]]:
    """Start other servers."""
    async with AsyncExitStack() as stack:

        async def start(started: Startable) -> None:
            await started.start()
            stack.push_async_callback(started.stop)

        yield start
