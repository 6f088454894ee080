"""Connections are accepted up to a limit, in all and from one address."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from otelbridge.config.sections import TlsConfig
from otelbridge.transports import listener
from otelbridge.transports.certificates import CertificateFiles
from otelbridge.transports.gateway.client import dialled
from otelbridge.transports.listener import Listener, Slots
from otelbridge.transports.sockets import bind
from tests.faults import fault
from tests.transports.fakes import RIGHT_KEY
from tests.transports.gateway.peers import peer
from tests.transports.gateway.worlds import (
    BUDGET,
    PATIENCE_S,
    World,
    eventually,
    running,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def test_a_slot_is_one_of_so_many_in_all_and_from_one_address() -> None:
    slots = Slots(most=3, most_of_address=2)

    taken = [slots.take(address) for address in ("a", "a", "a", "b", "c")]

    assert [slot is not None for slot in taken] == [True, True, False, True, False]


def test_a_slot_that_is_released_is_anothers_once() -> None:
    slots = Slots(most=2, most_of_address=2)
    first, second = slots.take("a"), slots.take("a")
    assert first is not None
    assert second is not None

    first.release()
    first.release()

    assert slots.take("a") is not None
    assert slots.take("a") is None


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
    ],
)
def test_an_ipv6_network_is_one_address(one: str, other: str, *, is_same: bool) -> None:
    slots = Slots(most=2, most_of_address=1)
    assert slots.take(one)

    assert (slots.take(other) is None) is is_same


class Wire(asyncio.Protocol):
    """A connection that reads, if it does, and knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed.set()

    async def is_open(self) -> bool:
        """Return whether it is not closed within a moment."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.closed.wait(), 0.1)
        return not self.closed.is_set()

    async def until_closed(self) -> None:
        """Return when it was closed."""
        await asyncio.wait_for(self.closed.wait(), PATIENCE_S)


@asynccontextmanager
async def _wires(world: World, *sources: str) -> AsyncIterator[list[Wire]]:
    """Connect from addresses of loopback."""
    made: list[Wire] = []
    loop = asyncio.get_running_loop()
    try:
        for source in sources:
            _, wire = await loop.create_connection(
                Wire, "127.0.0.1", world.port, local_addr=(source, 0)
            )
            made.append(wire)
        yield made
    finally:
        for wire in made:
            wire.transport.abort()
            await wire.until_closed()


@fault(32)
async def test_beyond_the_limits_connections_are_closed_and_sessions_live_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 40)
    monkeypatch.setattr(listener, "MAX_OF_ADDRESS", 16)
    hosts = [f"127.0.0.{number}" for number in range(2, 8) for _ in range(20)]
    async with running() as world, world.dial() as client:
        async with _wires(world, *hosts) as flood:
            held = await asyncio.gather(*(wire.is_open() for wire in flood))
            answers = [await client.call(BUDGET, b"") for _ in range(10)]
        await eventually(lambda: _taken(world) == 0)
        after = await world.handshake()

    assert [sum(held[at : at + 20]) for at in range(0, 120, 20)] == [16, 16, 8, 0, 0, 0]
    assert (set(answers), after.status) == ({("OK", "")}, 101)


def _taken(world: World) -> int:
    return world.server._listener._slots._taken.total()  # noqa: SLF001  # nobody else knows


async def test_a_session_takes_no_place_among_the_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "MAX_OF_ADDRESS", 2)
    async with running() as world, peer(world), peer(world), peer(world):
        assert (await world.handshake()).status == 101


async def test_without_file_descriptors_it_waits_and_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_RETRY_S", 0.01)
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, iter(range(3))

    async def scarce(opened: socket.socket) -> Any:
        if next(failures, None) is not None:
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(opened)

    monkeypatch.setattr(loop, "sock_accept", scarce)
    async with running() as world:
        assert (await world.handshake()).status == 101

    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors == ["cannot accept connections, trying again: Too many open files"]


class Pair:
    """A certificate with its key, in files, for localhost and for an address."""

    def __init__(self, folder: Path) -> None:
        self.config = TlsConfig(cert=folder / "cert.pem", key=folder / "key.pem", http=True)
        self.ca = folder / "ca.pem"

    def write(self, *, key: bool = True) -> ssl.SSLContext:
        """Write a new pair; return what trusts it."""
        authority = trustme.CA()
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        assert self.config.cert
        assert self.config.key
        leaf.cert_chain_pems[0].write_to_path(self.config.cert)
        if key:
            leaf.private_key_pem.write_to_path(self.config.key)
        authority.cert_pem.write_to_path(self.ca)
        return ssl.create_default_context(cafile=self.ca)


@asynccontextmanager
async def _tls(folder: Path) -> AsyncIterator[tuple[World, Pair, ssl.SSLContext]]:
    pair = Pair(folder)
    trusting = pair.write()
    context = CertificateFiles(pair.config).http_context()
    async with running(context=context) as world:
        yield world, pair, trusting


async def _call(world: World, trusting: ssl.SSLContext, host: str = "localhost") -> object:
    url = f"wss://{host}:{world.port}"
    async with dialled(url, key=RIGHT_KEY, context=trusting) as client:
        return await client.call(BUDGET, b"")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_gateway_is_served_over_tls_whether_it_names_the_host_or_not(
    tmp_path: Path, host: str
) -> None:
    async with _tls(tmp_path) as (world, _, trusting):
        assert await _call(world, trusting, host) == ("OK", "")


async def test_a_session_over_tls_is_stopped_like_any_other(tmp_path: Path) -> None:
    async with _tls(tmp_path) as (world, _, trusting):
        url = f"wss://localhost:{world.port}"
        async with dialled(url, key=RIGHT_KEY, context=trusting) as client:
            await world.gateways.stop(5.0)
            assert await client.wait_closed() == "the connection ended"


@fault(35)
async def test_a_new_certificate_is_used_from_the_next_handshake_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _tls(tmp_path) as (world, pair, old):
        assert await _call(world, old) == ("OK", "")
        half = pair.write(key=False)
        assert await _call(world, old) == ("OK", "")
        assert await _call(world, old) == ("OK", "")
        new = pair.write()
        assert await _call(world, new) == ("OK", "")

        for stale in (half, old):
            with pytest.raises(Exception, match="certificate verify failed"):
                await _call(world, stale)

    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("keeping the certificate in use: tls.cert: ")


@fault(32)
async def test_who_never_finishes_the_handshake_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_HANDSHAKE_S", 0.1)
    async with _tls(tmp_path) as (world, _, trusting):
        async with _wires(world, "127.0.0.1", "127.0.0.1") as [silent, babbling]:
            babbling.transport.write(b"GET / HTTP/1.1\r\n\r\n")
            await silent.until_closed()
            await babbling.until_closed()
        assert await _call(world, trusting) == ("OK", "")
        await eventually(lambda: _taken(world) == 0)


async def test_a_stop_closes_the_port_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    sockets = bind("127.0.0.1:0", key="listen.http")
    port = sockets[0].getsockname()[1]
    listening = Listener(sockets, lambda _slot: asyncio.Protocol())
    listening.start()
    await listening.stop()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert asyncio.all_tasks() == before
