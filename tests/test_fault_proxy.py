"""The fault proxy does what it says: a test that relies on it proves nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fault_proxy import FaultProxy


class Echo:
    """A server that sends back what it gets.

    Attributes:
        got: Everything that came.
        came: Set when something came.
    """

    def __init__(self) -> None:
        self.got = b""
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.got += data
                self.came.set()
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[FaultProxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, echo


@asynccontextmanager
async def connected(
    proxy: FaultProxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_bytes_pass_in_both_directions() -> None:
    async with proxied() as (proxy, _), connected(proxy) as (reader, writer):
        writer.write(b"hello")
        answer = await reader.readexactly(5)

    assert (answer, proxy.accepted, proxy.passed) == (b"hello", 1, 5)


async def test_a_cut_is_a_reset_and_new_connections_are_accepted() -> None:
    async with proxied() as (proxy, _), connected(proxy) as (reader, writer):
        writer.write(b"hello")
        await reader.readexactly(5)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        async with connected(proxy) as (other, its_writer):
            its_writer.write(b"again")
            assert await other.readexactly(5) == b"again"


async def test_a_proxy_that_refuses_is_not_there_until_it_listens_again() -> None:
    async with proxied() as (proxy, _):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.listen()
        async with connected(proxy) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"


async def test_silence_holds_everything_back_and_healing_lets_it_pass() -> None:
    async with proxied() as (proxy, echo), connected(proxy) as (reader, writer):
        writer.write(b"1")
        await reader.readexactly(1)
        proxy.silence()
        writer.write(b"2")
        async with connected(proxy) as (other, its_writer):
            its_writer.write(b"3")
            assert await other.readexactly(1) == b"3"
        before = echo.got
        proxy.heal()
        answer = await reader.readexactly(1)

    assert (before, answer) == (b"13", b"2")


async def test_a_mute_proxy_passes_requests_and_keeps_the_answers() -> None:
    async with proxied() as (proxy, echo), connected(proxy) as (reader, writer):
        proxy.mute()
        writer.write(b"request")
        await echo.came.wait()
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)

    assert echo.got == b"request"
