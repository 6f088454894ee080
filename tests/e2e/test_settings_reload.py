"""SIGHUP: a running bridge takes headers and certificates, and says what it leaves."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from otelbridge.commands.init import initialise
from otelbridge.domain.ports import Signal
from tests.collector import Answer, Collector
from tests.commands.programs import start
from tests.e2e import gateways as gw
from tests.faults import fault

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.collector import Request


def wants(key: str, request: Request) -> Answer | None:
    if request.headers.get("authorization") == key:
        return None
    return Answer(code=grpc.StatusCode.UNAUTHENTICATED, message="not that one")


class Serving:
    """A bridge in a process of its own.

    Attributes:
        process: The process.
        address: Its gRPC address.
    """

    def __init__(self, process: Process, folder: Path, collector: Collector) -> None:
        self.process = process
        self.address = ""
        self._folder = folder
        self._collector = collector

    def configure(self, header: str, *, more: str = "") -> None:
        """Write its settings."""
        (self._folder / "otelbridge.toml").write_text(
            '[listen]\ngrpc = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n[assembly]\ngrace_s = 0.1\n'
            f'[[destination]]\nname = "sink"\nendpoint = "{self._collector.grpc_endpoint}"\n'
            f"headers = {{ authorization = {header} }}\n{more}"
        )

    async def line(self, text: str) -> str:
        """Return the next line of its log that holds a text."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while text not in (line := (await self.process.stderr.readline()).decode()):
                assert line, f"ended before {text!r}"
        return line

    async def send(self) -> str:
        """Send an interception; return its id."""
        interception = gw.fresh_id()
        async with grpc.aio.insecure_channel(self.address) as channel:
            for request in (gw.start(interception), gw.end(interception)):
                method = f"/proto.{gw.method_of(request)}"
                await channel.unary_unary(method)(request.SerializeToString())
        return interception


@asynccontextmanager
async def serving(folder: Path, collector: Collector, header: str) -> AsyncIterator[Serving]:
    initialise(folder)
    Serving(None, folder, collector).configure(header)  # type: ignore[arg-type]  # no process yet
    process = await start("serve", folder=folder)
    assert process.stdout is not None
    bridge = Serving(process, folder, collector)
    try:
        bridge.address = (await process.stdout.readline()).decode().split()[1]
        await process.stdout.readuntil(b"destination sink")
        yield bridge
    finally:
        process.terminate()
        await process.communicate()


@fault(10)
async def test_a_changed_header_heals_a_destination_after_sighup(tmp_path: Path) -> None:
    async with (
        Collector(judge=lambda r: wants("right", r)) as collector,
        serving(tmp_path, collector, '"wrong"') as bridge,
    ):
        interception = await bridge.send()
        failed = await bridge.line("traces: grpc_unauthenticated")
        bridge.configure('"right"')
        bridge.process.send_signal(signal.SIGHUP)
        await bridge.line("destination sink: using new headers or certificates")
        await collector.wait_for(lambda c: bool(gw.chat_spans(c, interception)))

    assert "not that one" in failed
    assert len(collector.spans) == 1


async def test_settings_that_are_wrong_are_named_and_those_in_use_stay(tmp_path: Path) -> None:
    async with (
        Collector(judge=lambda r: wants("right", r)) as collector,
        serving(tmp_path, collector, '"right"') as bridge,
    ):
        bridge.configure('"other"', more="nonsense = 1\n")
        bridge.process.send_signal(signal.SIGHUP)
        problem = await bridge.line("nonsense")
        await bridge.line("SIGHUP: the settings in use stay")
        interception = await bridge.send()
        await collector.wait_for(lambda c: bool(gw.chat_spans(c, interception)))

    assert "SIGHUP: otelbridge.toml: destination.0.nonsense: unknown key" in problem


async def test_what_counts_from_the_next_start_only_is_said(tmp_path: Path) -> None:
    async with Collector() as collector, serving(tmp_path, collector, '"a"') as bridge:
        bridge.configure('"b"', more="timeout_s = 3\n")
        bridge.process.send_signal(signal.SIGHUP)
        told = await bridge.line("they count from the next start")
        interception = await bridge.send()
        await collector.wait_for(lambda c: bool(gw.chat_spans(c, interception)))

    assert "other settings than destinations' headers and tls have changed" in told
    assert collector.of(Signal.TRACES)[0].headers["authorization"] == "b"
